"""Programs as a person starts them, for tests: with pipes, and on a terminal."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence

import pyte

SECONDS = 15.0
"""Nothing here takes longer, however slow the machine is."""


class Program:
    """A program with pipes; what it prints is read line by line."""

    def __init__(self, *command: str, pass_fds: Sequence[int] = ()) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, pass_fds=pass_fds)
        self._read = b""

    def types(self, *lines: str | bytes) -> None:
        """Type lines."""
        assert self.process.stdin
        for line in lines:
            self.process.stdin.write((line.encode() if isinstance(line, str) else line) + b"\n")

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout
        until = time.monotonic() + SECONDS
        while b"\n" not in self._read:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"nothing more was printed; so far: {self._read!r}"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the program ended, and printed {self._read!r} to the last"
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def lines(self, number: int) -> list[str]:
        """The next lines it prints."""
        return [self.line() for _ in range(number)]

    def ends(self, signalled: int = 0) -> tuple[int, str, str]:
        """End it, or wait for its end: the exit status, and what it still printed on both its outputs."""
        if signalled:
            self.process.send_signal(signalled)
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, self._read.decode() + out.decode(), err.decode()


def listening(server: Program) -> str:
    """The port that a server says it listens on."""
    words = server.line().split()
    assert words[:2] == ["Listening", "on"]
    return words[4].rstrip(";")


class Terminal:
    """A program on a terminal of 80 columns and 24 rows, which is read as a person reads it."""

    def __init__(self, *command: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment
        )
        os.close(slave)
        self.screen = pyte.Screen(80, 24)
        setattr(self.screen, "write_process_input", self.types)  # noqa: B010 - it is asked where the cursor is
        self._stream = pyte.ByteStream(self.screen)

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def rows(self) -> list[str]:
        """The rows that are not empty."""
        return [row.rstrip() for row in self.screen.display if row.strip()]

    def shows(self, *rows: str) -> None:
        """Wait until these are the last rows."""
        until = time.monotonic() + SECONDS
        while self.rows()[-len(rows) :] != list(rows):
            ready, _, _ = select.select([self.master], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"expected {rows}; the screen has {self.rows()}"
            try:
                self._stream.feed(os.read(self.master, 65536))
            except OSError:  # the program has ended, and with it the terminal
                assert self.rows()[-len(rows) :] == list(rows)

    def sees(self, *texts: str) -> None:
        """Wait until each of these stands somewhere on the screen; a text given twice, on two rows."""
        until = time.monotonic() + SECONDS
        while any(sum(text in row for row in self.rows()) < texts.count(text) for text in texts):
            ready, _, _ = select.select([self.master], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"expected {texts}; the screen has {self.rows()}"
            try:
                self._stream.feed(os.read(self.master, 65536))
            except OSError:  # the program has ended, and with it the terminal
                raise AssertionError(f"expected {texts}; it has ended, and the screen has {self.rows()}") from None

    def ends(self) -> int:
        """Wait for the program's end."""
        until = time.monotonic() + SECONDS
        with contextlib.suppress(OSError):
            while True:
                ready, _, _ = select.select([self.master], [], [], max(0.0, until - time.monotonic()))
                assert ready, f"it does not end; the screen has {self.rows()}"
                data = os.read(self.master, 65536)
                if not data:
                    break
                self._stream.feed(data)
        return self.process.wait(SECONDS)

    def close(self) -> None:
        """End whatever still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(SECONDS)
        os.close(self.master)

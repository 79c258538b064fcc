"""Files that must never be seen half written, nor by others."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from common.errors import LabError


def user_data() -> Path:
    """Where this person's own files of the lab are, untouched by `make clean` (XDG base directories). It may not be
    there yet. Raises LabError where nobody knows the person's home."""
    given = os.environ.get("XDG_DATA_HOME")
    try:
        shared = Path(given) if given else Path.home() / ".local" / "share"
    except RuntimeError:
        raise LabError("Your home folder is not known; say where to keep files with XDG_DATA_HOME=FOLDER.") from None
    return shared / "progressive-security-lab"


def write_whole(file: Path, data: bytes, *, mode: int = 0o600, lasting: bool = False) -> None:
    """Put `data` in place of what the file held: all of it, or nothing; of several who write at once, one.

    lasting: wait until the disk has it, so that it is there after a power cut too. Raises LabError.
    """
    try:
        with in_place_of(file, mode) as out:
            out.write(data)
            out.flush()
            if lasting:
                os.fsync(out.fileno())
        if lasting:
            _sync_folder(file.parent)
    except OSError as error:
        raise LabError(f"{file} cannot be written ({error.strerror}); mend that and start again.") from None


def write_checked(file: Path, data: bytes, *, lasting: bool = False) -> None:
    """The same, with a last line by which `read_checked` sees whether it is still what was written. Raises LabError.

    That is against disks and slips of an editor, and no defence: whoever can write the file can write that line.
    """
    write_whole(file, data + _last_line(data), lasting=lasting)


def read_checked(file: Path) -> bytes:
    """What `write_checked` wrote, without its last line. Raises ValueError where anything changed it, and OSError."""
    whole = file.read_bytes()
    data, last = whole[:-_LAST_LINE_BYTES], whole[-_LAST_LINE_BYTES:]
    if last != _last_line(data):
        raise ValueError("its last line is not the checksum of the rest")
    return data


def _last_line(data: bytes) -> bytes:
    return f"\nsha256 {hashlib.sha256(data).hexdigest()}\n".encode()


_LAST_LINE_BYTES = len(_last_line(b""))


def sweep(folder: Path) -> None:
    """Remove what writers who were killed left half written. Only for whoever holds the folder: others may be
    writing. Raises OSError."""
    for unfinished in folder.glob(".*.part"):
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def in_place_of(file: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """What to write to: it takes the file's place when the block ends, and is gone where the block fails.

    It has its mode from the beginning: what is closed to others only afterwards can be opened by them before. And it
    has a name that nobody else uses: else whoever writes at the same time puts our half where their whole belongs, and
    what an interrupted run left behind may be open to others. Raises OSError.
    """
    unfinished = file.with_name(f".{file.name}-{os.urandom(4).hex()}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
        unfinished.replace(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk when the folder that holds it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

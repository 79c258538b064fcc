"""Files that must never be seen half written, nor by others."""

import os
from pathlib import Path

from common.errors import LabError


def write_whole(file: Path, data: bytes, *, mode: int = 0o600, lasting: bool = False) -> None:
    """Put `data` in place of what the file held: all of it, or nothing. It has its mode from the beginning: what is
    closed to others only afterwards can be opened by them before.

    lasting: wait until the disk has it, so that it is there after a power cut too. Raises LabError.
    """
    unfinished = file.with_name(file.name + ".part")
    try:
        unfinished.unlink(missing_ok=True)  # what an interrupted run left behind may be open to others
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(data)
            out.flush()
            if lasting:
                os.fsync(out.fileno())
        unfinished.replace(file)
        if lasting:
            _sync_folder(file.parent)
    except OSError as error:
        raise LabError(f"{file} cannot be written ({error.strerror}); mend that and start again.") from None


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk when the folder that holds it is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

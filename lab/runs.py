"""A run's folder: the captures, the transcript, the verdicts. Files appear whole or not at all."""

import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from common.errors import LabError
from common.files import write_whole
from lab.bench import Bench, Cell

ROOT = Path(__file__).parent.parent


def write_text(path: Path, text: str) -> None:
    """Write a file for everybody to read, so that nobody ever sees half of it. Raises LabError."""
    write_whole(path, text.encode() if text.endswith("\n") else f"{text}\n".encode(), mode=0o644)


def verdicts(network: str, cells: Iterable[Cell], folder: Path | None) -> dict[str, Any]:
    """What `--json` prints and `verdicts.json` holds; `network` is its kind."""
    return {
        "network": network,
        "run": str(folder) if folder else "",
        "cells": [cell.to_json() for cell in cells],
    }


def new_folder(slug: str) -> Path:
    """Make a folder under `runs/` of the current directory, named after the moment and what is run. Raises LabError."""
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{moment}-{slug}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise LabError(f"{folder} cannot be made ({error.strerror}); go to a folder where you may write.") from None
    return folder


def save(
    side_by_side: Sequence[Bench], slug: str, cells: list[Cell], transcript: list[str], *, per_host: bool = False
) -> Path:
    """Write the folder of one run under `runs/` of the current directory, and return it."""
    recordings = {name: recording for bench in side_by_side for name, recording in bench.recordings.items()}
    folder = new_folder(slug)
    for name, recording in recordings.items():
        recording.write_all(folder / f"{name.replace('/', '-')}.pcapng", per_host=per_host)
    for cell in cells:
        cell.capture = f"{cell.id.replace('/', '-')}.pcapng" if cell.id in recordings else ""
    write_text(folder / "transcript.txt", "\n".join(transcript))
    write_text(folder / "verdicts.json", json.dumps(verdicts(side_by_side[0].kind, cells, folder), indent=2))
    return folder

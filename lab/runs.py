"""A run's folder: the captures, the transcript, the verdicts. Files appear whole or not at all."""

import json
import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.bench import Bench, Cell

ROOT = Path(__file__).parent.parent


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def verdicts(bench: Bench, cells: Iterable[Cell], folder: Path | None) -> dict[str, Any]:
    """What `--json` prints and `verdicts.json` holds."""
    return {
        "network": bench.kind,
        "run": str(folder) if folder else "",
        "cells": [cell.to_json() for cell in cells],
    }


def save(bench: Bench, slug: str, cells: list[Cell], transcript: list[str], *, per_host: bool = False) -> Path:
    """Write the folder of one run under `runs/` of the current directory, and return it."""
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path("runs") / f"{moment}-{slug}-{secrets.token_hex(2)}"
    folder.mkdir(parents=True)
    for name, recording in bench.recordings.items():
        recording.write_all(folder / f"{name.replace('/', '-')}.pcapng", per_host=per_host)
    for cell in cells:
        cell.capture = f"{cell.id.replace('/', '-')}.pcapng" if cell.id in bench.recordings else ""
    write_whole(folder / "transcript.txt", "\n".join(transcript) + "\n")
    write_whole(folder / "verdicts.json", json.dumps(verdicts(bench, cells, folder), indent=2) + "\n")
    return folder

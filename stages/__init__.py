"""The stages, found by walking this folder: `stages.find(1)`, `stages.numbers()`.

A stage is a package called `stage<N>_<name>` with the modules `server` (class `Server`) and `client` (class
`ClientSession`). Nothing is imported before it is asked for.
"""

import importlib
import pkgutil
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from common.errors import LabError

if TYPE_CHECKING:
    from common.messages import Message


@dataclass(frozen=True)
class Stage:
    """One stage: where it stands and how its two programs are made."""

    number: int
    package: str

    @property
    def folder(self) -> Path:
        """The stage's folder in the repository."""
        return Path(__file__).parent / self.package

    @property
    def slug(self) -> str:
        """`stage1-plaintext`: the name of its audit and of its run folders."""
        return self.package.replace("_", "-")

    @property
    def title(self) -> str:
        """The first sentence of the package's docstring."""
        return (importlib.import_module(f"stages.{self.package}").__doc__ or "").strip().splitlines()[0]

    @property
    def server(self) -> Any:
        """The class `Server` of this stage."""
        return importlib.import_module(f"stages.{self.package}.server").Server

    @property
    def client(self) -> Any:
        """The class `ClientSession` of this stage."""
        return importlib.import_module(f"stages.{self.package}.client").ClientSession

    @property
    def messages(self) -> "dict[str, type[Message]]":
        """Every message of this stage's protocol by its `type`, as its sessions declare what they accept."""
        server = importlib.import_module(f"stages.{self.package}.server").ServerSession
        accepted = (server.accepts, self.client.accepts, self.client.whispers)
        kinds = [kind for union in accepted for kind in (get_args(union) or (union,))]
        return {str(kind.__struct_config__.tag): kind for kind in kinds}

    @property
    def warning(self) -> str:
        """What whoever runs it beyond loopback is told; empty for a stage that deserves trust."""
        return str(importlib.import_module(f"stages.{self.package}").WARNING)

    @property
    def port(self) -> int:
        """The TCP port its server listens on where none is given."""
        return int(importlib.import_module(f"stages.{self.package}").PORT)


@cache
def catalogue() -> dict[int, Stage]:
    """Every stage there is, by number."""
    packages = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.ispkg)
    numbered = ((re.match(r"stage(\d+)_", name), name) for name in packages)
    return dict(sorted((int(match[1]), Stage(int(match[1]), name)) for match, name in numbered if match))


def find(number: int) -> Stage:
    """The stage of this number. Raises LabError where there is none."""
    if number not in catalogue():
        there = ", ".join(f"stage-{n}" for n in catalogue())
        raise LabError(f"There is no stage-{number}; these stages exist: {there}.")
    return catalogue()[number]

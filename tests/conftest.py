"""What every test may ask for, and one rule: where nothing may be skipped, a skip for want of something fails."""

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import settings

from common.lan import Lan, LanUnavailable
from common.loopback import Loopback
from tests.programs import Program

NO_SKIP = bool(os.environ.get("CI") or os.environ.get("LAB_NO_SKIP"))
TOOLS = {
    "nc": "netcat-openbsd",
    "faketime": "faketime",
    "hashcat": "hashcat pocl-opencl-icd ocl-icd-libopencl1",
    "ngircd": "ngircd",
    "ping": "iputils-ping",
    "setsid": "util-linux",
    "tcpdump": "tcpdump",
    "tmux": "tmux",
    "tshark": "tshark",
    "unshare": "util-linux",
}

SHARING = ("audits", "field", "handouts")
"""Folders of tests whose files use the same runs."""

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if NO_SKIP else "here")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread over processes, the tests of a file stay together, and those of the folders that share runs. (The marks of
    `--dist loadgroup` do nothing under pytest 9.2 with xdist 3.8, and nothing says so.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.rpartition("/")[0]
            return folder if folder.rpartition("/")[2] in SHARING else file

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped because the machine lacks something has shown nothing: CI must not be green then."""
    report = yield
    if NO_SKIP and report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith("needs "):
            report.outcome = "failed"
            report.longrepr = f"This test may not be skipped here (CI or LAB_NO_SKIP is set), and it {reason}"
    return report


@pytest.fixture(autouse=True, scope="session")
def _own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What programs run by hand keep is kept with the tests' files, and not in the person's own data folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def needs() -> Callable[[str], str]:
    """`needs("nc")`: the path of a tool, or the test is skipped with the package that has it."""

    def find(tool: str) -> str:
        path = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path is None:
            pytest.skip(f"needs {tool}: sudo apt install {TOOLS.get(tool, tool)}")
        return path

    return find


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """`start(*command)`; whatever still runs after the test is ended."""
    programs: list[Program] = []

    def starting(*command: str, pass_fds: Sequence[int] = ()) -> Program:
        programs.append(Program(*command, pass_fds=pass_fds))
        return programs[-1]

    yield starting
    for program in programs:
        with program.process as process:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def lan() -> Iterator[Lan]:
    """A LAN of its own for this test."""
    try:
        network = Lan.build()
    except LanUnavailable as error:
        pytest.skip(f"needs the LAN: {error}")
    with contextlib.closing(network):
        yield network


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Lan | Loopback]:
    """The network that NETWORK= names (lan, loopback); else the LAN where it can be had, and loopback where not."""
    wanted = os.environ.get("NETWORK", "")
    assert wanted in {"", "lan", "loopback"}, f"NETWORK is lan or loopback; {wanted} is not."
    if wanted == "lan":
        yield request.getfixturevalue("lan")
        return
    built: Lan | Loopback
    try:
        built = Loopback() if wanted == "loopback" else Lan.build()
    except LanUnavailable:
        built = Loopback()
    with contextlib.closing(built):
        yield built

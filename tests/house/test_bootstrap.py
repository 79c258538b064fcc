"""`make` and lab/bootstrap.sh, in a copy of the two, with stand-ins for Python, uv and pip on a private PATH.

The stand-ins write down how they were called and print what the lab would have been asked, so no test
installs anything. That the real thing works is shown by this very test run: `make test` went through it.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = (
    *("cat", "chmod", "cksum", "cp", "dirname", "find", "make", "mkdir", "mv"),
    *("printf", "rm", "sed", "sh", "sleep", "tail", "touch", "xargs"),
)

PYTHON = """#!/bin/sh
case "$*" in
    -V) echo "Python {version}.4" ;;
    *version_info*) printf '%s\\n' {version} "$0"; exit {too_old} ;;
    *ensurepip*) exit {no_venv} ;;
    *flock*) exec {real_python} "$@" ;;
    "-m venv "*)
        echo "python{version} -m venv" >>{log}
        mkdir -p "$3/bin" "$3/lib/python{version}/site-packages"
        cp "$0" "$3/bin/python"
        touch "$3/bin/pip"
        chmod +x "$3/bin/pip" ;;
    "-m pip "*)
        for last; do :; done
        echo "pip install ${{last##*/}}" >>{log}
        {pip} ;;
    "-P -c "*) shift 3; printf 'lab'; printf '[%s]' "$@"; echo ;;
    *) printf 'python'; printf '[%s]' "$@"; echo ;;
esac
"""

UV = """#!/bin/sh
for last; do :; done
echo "uv $1 ${{last##*/}}" >>{log}
[ "$1" != venv ] || {{ "$4" -m venv "$5" && rm "$5/bin/pip"; }}
"""


class House:
    """A copy of what sets the lab up, in `folder`, with nothing on its PATH but stand-ins and plain tools."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder = folder
        self.tools = tools
        self.log = tools / "installer.log"
        (folder / "lab").mkdir(parents=True)
        tools.mkdir()
        shutil.copy(REPOSITORY / "Makefile", folder)
        script = (REPOSITORY / "lab/bootstrap.sh").read_text()
        assert "/usr/sbin:/sbin" in script
        # This machine's own `ip` must not be found, so that a test decides whether there is one.
        (folder / "lab/bootstrap.sh").write_text(script.replace("/usr/sbin:/sbin", "/nowhere"))
        (folder / "requirements.lock").write_text("one==1\n")
        (folder / "requirements-dev.lock").write_text("one==1\ntwo==2\n")
        for tool in TOOLS:
            real = shutil.which(tool)
            assert real, f"this test needs {tool}"
            (tools / tool).symlink_to(real)
        self.stand_in("uname", "#!/bin/sh\necho Linux\n")
        self.stand_in("ip", "#!/bin/sh\n")
        self.python()

    def stand_in(self, name: str, script: str) -> None:
        (self.tools / name).write_text(script)
        (self.tools / name).chmod(0o755)

    def python(
        self,
        name: str = "python3",
        version: str = "3.12",
        too_old: bool = False,
        no_venv: bool = False,
        pip: str = ":",
    ) -> None:
        self.stand_in(
            name,
            PYTHON.format(
                version=version,
                too_old=int(too_old),
                no_venv=int(no_venv),
                pip=pip,
                log=f"'{self.log}'",
                real_python=f"'{sys.executable}'",
            ),
        )

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["make", *words],
            cwd=self.folder,
            env={"PATH": str(self.tools), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def make(self, *words: str, **environment: str) -> tuple[str, str, int]:
        """What `make` printed as output, what it printed as errors, and its exit status."""
        process = self.start(*words, **environment)
        output, errors = process.communicate(timeout=20)
        return output.strip(), errors.strip(), process.returncode

    def installed(self) -> list[str]:
        """What installers did since this was last asked."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "a house", tmp_path / "tools")


@pytest.fixture
def warm(house: House) -> House:
    """A house whose .venv is made."""
    assert house.make("doctor")[2] == 0
    house.installed()
    return house


def sentence(errors: str) -> str:
    """The one line that is not make's own word."""
    lines = [line for line in errors.splitlines() if not line.startswith("make: ***")]
    assert len(lines) == 1, errors
    return lines[0]


# Setting up


def test_first_make_sets_up_and_calls_the_lab(house: House) -> None:
    output, errors, status = house.make("stage-1", "demo")
    assert (output, status) == ("lab[stage-1][demo]", 0)
    assert errors == "Setting up .venv (once, about 15 s) …"
    assert house.installed() == ["python3.12 -m venv", "pip install requirements.lock"]


def test_second_make_starts_no_installer(warm: House) -> None:
    assert warm.make("stage-1", "demo") == ("lab[stage-1][demo]", "", 0)
    assert warm.installed() == []


def test_uv_is_used_where_it_is_on_the_path(house: House) -> None:
    house.stand_in("uv", UV.format(log=f"'{house.log}'"))
    assert house.make("doctor")[2] == 0
    assert house.installed() == ["uv venv .venv", "python3.12 -m venv", "uv pip requirements.lock"]


def test_pip_takes_over_where_uv_fails(house: House) -> None:
    house.stand_in("uv", "#!/bin/sh\nexit 1\n")
    assert house.make("doctor")[2] == 0
    assert house.installed() == ["python3.12 -m venv", "pip install requirements.lock"]


def test_only_tests_and_checks_install_the_developers_tools(warm: House) -> None:
    assert warm.make("stage-1", "test")[0] == "lab[stage-1][test]"
    assert warm.installed() == ["pip install requirements-dev.lock"]
    spread = "python[-m][pytest][--numprocesses][auto][--maxprocesses][4][--dist][loadscope]"
    assert warm.make("test", "ARGS=-k 'one or two' tests/lan")[0] == f"{spread}[-k][one or two][tests/lan]"
    assert warm.make("stage-1", "demo")[2] == 0
    assert warm.installed() == []


def test_a_changed_lock_installs_again(warm: House) -> None:
    (warm.folder / "requirements.lock").write_text("one==2\n")
    assert warm.make("stage-1", "demo")[2] == 0
    assert warm.installed() == ["python3.12 -m venv", "pip install requirements.lock"]
    assert warm.make("stage-1", "demo")[2] == 0
    assert warm.installed() == []


def test_a_changed_developers_lock_leaves_a_demo_alone(house: House) -> None:
    assert house.make("test")[2] == 0
    house.installed()
    (house.folder / "requirements-dev.lock").write_text("one==1\nthree==3\n")
    assert house.make("stage-1", "demo")[2] == 0
    assert house.installed() == []
    assert house.make("test")[2] == 0
    assert house.installed() == ["pip install requirements-dev.lock"]


def test_a_moved_repository_installs_again(warm: House) -> None:
    warm.folder = warm.folder.rename(warm.folder.with_name("moved"))
    assert warm.make("doctor")[0] == "lab[doctor]"
    assert warm.installed() == ["python3.12 -m venv", "pip install requirements.lock"]
    link = warm.folder / ".venv/lib/python3.12/site-packages/progressive-security-lab.pth"
    assert link.read_text() == f"{warm.folder}\n"


def test_another_python_installs_again_and_stays(warm: House) -> None:
    warm.python("other", version="3.13")
    other = str(warm.tools / "other")
    assert warm.make("doctor", f"PYTHON={other}")[2] == 0
    assert warm.installed() == ["python3.13 -m venv", "pip install requirements.lock"]
    assert warm.make("doctor", f"PYTHON={other}")[2] == 0
    assert warm.make("doctor")[2] == 0
    assert warm.installed() == []


def test_a_python_that_vanished_installs_again(warm: House) -> None:
    (warm.folder / ".venv/bin/python").unlink()
    assert warm.make("doctor")[2] == 0
    assert warm.installed() == ["python3.12 -m venv", "pip install requirements.lock"]


def test_a_failed_installation_shows_the_last_words_and_is_done_again(house: House) -> None:
    house.python(pip="seq() { for i in 1 2 3 4 5 6 7; do echo word $i; done; }; seq; exit 1")
    output, errors, status = house.make("stage-1", "demo")
    lines = errors.splitlines()
    assert (output, status) == ("", 2)
    assert "Setting up .venv failed: if this machine is offline" in lines[1]
    assert lines[2:7] == ["word 3", "word 4", "word 5", "word 6", "word 7"]
    house.installed()
    house.python()
    assert house.make("stage-1", "demo")[2] == 0
    assert house.installed() == ["python3.12 -m venv", "pip install requirements.lock"]


def test_three_terminals_at_once_install_once(house: House) -> None:
    house.python(pip="sleep 0.3")
    processes = [house.start("stage-1", verb) for verb in ("server", "client", "sniffer")]
    outputs = [process.communicate(timeout=20)[0].strip() for process in processes]
    assert outputs == ["lab[stage-1][server]", "lab[stage-1][client]", "lab[stage-1][sniffer]"]
    assert house.installed() == ["python3.12 -m venv", "pip install requirements.lock"]


def test_the_launcher_works_from_anywhere_whatever_the_folder_is_called(tmp_path: Path) -> None:
    house = House(tmp_path / 'it\'s "a" $(house)', tmp_path / "tools")
    assert house.make("doctor")[0] == "lab[doctor]"
    launcher = house.folder / ".venv/bin/lab"
    done = subprocess.run([launcher, "a b"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "lab[a b]\n"


# What is missing is said in one sentence


def test_a_python_that_is_too_old_is_named(house: House) -> None:
    house.python(version="3.9", too_old=True)
    output, errors, status = house.make("stage-1", "demo")
    assert (output, status) == ("", 2)
    assert "needs Python 3.11 or newer and found only 3.9: install one" in sentence(errors)
    assert house.installed() == []


def test_a_newer_python_under_another_name_is_found(house: House) -> None:
    house.python(version="3.9", too_old=True)
    house.python("python3.13", version="3.13")
    assert house.make("doctor")[0] == "lab[doctor]"
    assert house.installed()[0] == "python3.13 -m venv"


def test_a_shim_that_cannot_run_counts_as_no_python(house: House) -> None:
    house.stand_in("python3", "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
    assert "found none: install one" in sentence(house.make("doctor")[1])


def test_a_wrong_PYTHON_is_named(warm: House) -> None:
    assert sentence(warm.make("doctor", "PYTHON=/no/python")[1]).startswith("PYTHON=/no/python is not a Python 3.11")


def test_a_missing_venv_module_is_named(house: House) -> None:
    house.python(no_venv=True)
    output, errors, status = house.make("stage-1", "demo")
    assert (output, status) == ("", 2)
    assert "sudo apt install python3.12-venv" in sentence(errors)


def test_uv_needs_no_venv_module(house: House) -> None:
    house.python(no_venv=True)
    house.stand_in("uv", UV.format(log=f"'{house.log}'"))
    assert house.make("stage-1", "demo")[0] == "lab[stage-1][demo]"


def test_a_missing_ip_is_warned_of_once(house: House) -> None:
    (house.tools / "ip").unlink()
    output, errors, status = house.make("stage-1", "demo")
    assert (output, status) == ("lab[stage-1][demo]", 0)
    assert "sudo apt install iproute2" in errors.splitlines()[1]
    assert house.make("stage-1", "demo")[1] == ""


# What is typed reaches the lab


@pytest.mark.parametrize(
    "words",
    [
        "stage-1 attack",
        "stage-1 sniffer",
        "stage-1 audit",
        "stage-9 demo",
        "stage-1 nonsense",
        "stage-1",
        "help",
    ],
)
def test_every_word_is_handed_on(warm: House, words: str) -> None:
    assert warm.make(*words.split()) == ("lab" + "".join(f"[{word}]" for word in words.split()), "", 0)


def test_the_stage_comes_first_in_any_order(warm: House) -> None:
    assert warm.make("demo", "stage-1")[0] == "lab[stage-1][demo]"


def test_a_file_is_handed_on_as_it_is(warm: House) -> None:
    assert warm.make("wireshark", "FILE=my room.pcapng")[0] == "lab[wireshark][my room.pcapng]"
    assert warm.make("wireshark")[0] == "lab[wireshark]"
    assert warm.make("flow", "FILE=my room.pcapng")[0] == "lab[flow][my room.pcapng]"


def test_an_attack_of_the_field_is_handed_on(warm: House) -> None:
    assert warm.make("field", "ATTACK=mitm")[0] == "lab[field][mitm]"
    assert warm.make("field")[0] == "lab[field]"


def test_bare_make_is_help(warm: House) -> None:
    assert warm.make() == ("lab[help]", "", 0)


def test_folders_named_like_targets_are_no_targets(warm: House) -> None:
    for name in ("test", "check", "doctor", "help", "audits", "attack", "demo", "stage-1"):
        (warm.folder / name).mkdir()
    assert warm.make("stage-1", "demo") == ("lab[stage-1][demo]", "", 0)
    output, _, status = warm.make("audits")  # which says that it installs the developers' tools, for the scores
    assert (output, status) == ("lab[audits]", 0)


def test_audits_have_the_developers_tools_for_their_scores(warm: House) -> None:
    assert warm.make("audits")[0] == "lab[audits]"
    assert warm.installed() == ["pip install requirements-dev.lock"]


def test_a_stages_test_is_not_also_the_whole_suite(warm: House) -> None:
    assert warm.make("stage-1", "test")[0] == "lab[stage-1][test]"


def test_an_unknown_target_lists_what_there_is(house: House) -> None:
    output, errors, status = house.make("nonsense")
    assert (output, status) == ("", 2)
    assert re.search(r"no target 'nonsense': there are help, doctor, .*'make stage-1 demo'", sentence(errors))
    assert house.installed() == []


def test_variables_become_options(warm: House) -> None:
    output, _, _ = warm.make(
        "stage-4", "mitm", "LEVERS=cipher=off verify=none", "GOAL=read", "ARGS=--json -v", "NETWORK=loopback"
    )
    assert output == (
        "lab[stage-4][mitm][--levers][cipher=off verify=none][--network][loopback][--goal][read][--json][-v]"
    )
    output, _, _ = warm.make("stage-1", "client", "NAME=alice", "SERVER=10.0.0.2", "PORT=9000", "TARGET=bob")
    assert output == "lab[stage-1][client][--name][alice][--port][9000][--server][10.0.0.2][--target][bob]"
    output, _, _ = warm.make("stage-1", "server", "LISTEN=0.0.0.0", "MAX=9")
    assert output == "lab[stage-1][server][--listen][0.0.0.0][--max][9]"
    output, _, _ = warm.make("stage-3", "mitm", "VIA=arp_spoofing", "LAN=hub", "SLOW=1")
    assert output == "lab[stage-3][mitm][--via][arp_spoofing][--lan][hub][--slow]"
    assert warm.make("stage-3", "mitm", "SLOW=0")[0] == "lab[stage-3][mitm]"


def test_only_network_and_levers_are_taken_from_the_environment(warm: House) -> None:
    output, _, _ = warm.make("stage-1", "demo", NAME="pc", PORT="80", ARGS="-x", NETWORK="lan", LEVERS="limits=off")
    assert output == "lab[stage-1][demo][--levers][limits=off][--network][lan]"


@pytest.mark.parametrize(
    "name",
    [
        "$(touch broken)",
        "`touch broken`",
        '"; touch broken; "',
        "';touch broken;'",
        "$(shell touch broken)",
        "a  b*",
    ],
)
def test_a_value_is_never_run(warm: House, name: str) -> None:
    assert warm.make("stage-1", "client", f"NAME={name}")[0] == f"lab[stage-1][client][--name][{name}]"
    assert warm.make("stage-1", "demo", LEVERS=name)[0] == f"lab[stage-1][demo][--levers][{name}]"
    assert not (warm.folder / "broken").exists()


def test_arguments_are_split_like_a_shells_but_never_run(warm: House) -> None:
    output, _, _ = warm.make("stage-1", "sniffer", "ARGS=--read 'my file.pcapng' $(touch broken) *")
    assert output == "lab[stage-1][sniffer][--read][my file.pcapng][$(touch][broken)][*]"
    assert not (warm.folder / "broken").exists()
    assert sentence(warm.make("doctor", "ARGS=it's")[1]).startswith("ARGS has a quote that is not closed")


def test_clean_removes_only_what_the_lab_made(warm: House, tmp_path: Path) -> None:
    home = tmp_path / "home/.local/share/progressive-security-lab"
    made = [warm.folder / name for name in ("runs/one", ".pytest_cache", "lab/__pycache__")]
    for folder in (home, *made):
        folder.mkdir(parents=True)
    before = {warm.folder / name for name in ("Makefile", "lab", "requirements.lock", "requirements-dev.lock")}
    assert warm.make("clean", HOME=str(tmp_path / "home")) == ("", "", 0)
    assert set(warm.folder.iterdir()) == before
    assert home.is_dir()
    assert warm.installed() == []


# The locks


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (REPOSITORY / lock).read_text(), re.MULTILINE))


def test_locks_agree_and_hold_hashes_and_no_address() -> None:
    runtime, developers = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime.items() <= developers.items()
    assert {"scapy", "msgspec"} <= runtime.keys()
    assert not {"pytest", "mypy", "ruff"} & runtime.keys()
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (REPOSITORY / lock).read_text()
        assert text.count("--hash=sha256:") >= len(pins(lock))
        assert "://" not in text
        assert "--index" not in text


def test_misspelt_variable_is_one_sentence_and_not_ignored() -> None:
    done = subprocess.run(
        ["make", "stage-1", "merged_messages", "LEVER=framing=none"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "There is no LEVER=; there are NAME= " in done.stderr

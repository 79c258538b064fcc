"""The command `lab`: the verbs of the Makefile, with --help, --json and shell completion.

What a verb does stands in `lab.verbs` and is imported when the verb is run, so that `lab --help` answers at once.
"""

import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

import attacks
import stages
from common.errors import LabError
from lab.cli_teaching import COMMANDS, REPORT_HELP, of_student, report_of

F = TypeVar("F", bound=Callable[..., Any])

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)

STAGE_VERBS = {
    "demo": "The narrated scene, every attack, the verdicts, and where to go next.",
    "attack": "Every attack against this stage.",
    "server": "Run this stage's server by hand.",
    "client": "Run this stage's client by hand.",
    "capture": "Record a conversation for the capture lab: client 1's card and the server's.",
    "questions": "The capture lab: questions about the last capture, checked against it.",
    "report": REPORT_HELP,
    "quiz": "The handout's questions, in the terminal; what is right is remembered.",
    "hint": "A hint for the question or exercise that you are at, or for QUESTION; each time a better one.",
    "lan": "The lab's hosts to sit down at: a shell on each, this stage's server and clients running.",
    "exercise": "Lay out the stage's exercise in work/: the lever is yours to write.",
    "check": "Run your code as the stage: the conversation, the attacks, known answers.",
    "solution": "The way from your code to the reference, once it passes.",
    "audit": "Show the stage's audit.",
    "test": "Run the stage's tests.",
}
"""Beside these, the name of any attack is a verb."""


READING: dict[str, dict[str, Any]] = {
    "as": {
        "default": "text",
        "type": click.Choice(["text", "jsonl", "hex"]),
        "help": "With --read: lines, one JSON object a line, or lines with the frame's bytes.",
    },
    "where": {
        "multiple": True,
        "metavar": "FIELD=VALUE",
        "help": "With --read: only messages of which a field says this; type=say from=alice. May be repeated.",
    },
    "follow": {
        "default": "",
        "metavar": "HOST,HOST|N",
        "help": "With --read: only what two hosts say to each other, or conversation N (#N in the text).",
    },
    "bpf": {
        "default": "",
        "metavar": "FILTER",
        "help": "With --read: only frames that match, as for tcpdump: 'tcp port 5001'.",
    },
    "port": {
        "default": 0,
        "type": click.IntRange(0, 65535),
        "metavar": "PORT",
        "help": "With --read: the server's port, where it is not the stage's own.",
    },
}
"""What may be added to --read."""


class Sentence(click.ClickException):
    """One sentence on standard error, exit status 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


class Listing(click.Group):
    """A group that answers an unknown name with one sentence that lists the known ones."""

    what = "command"

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not name.startswith("-"):
            raise Sentence(f"There is no {self.what} {name}; there are: {', '.join(self.list_commands(ctx))}.")
        return super().resolve_command(ctx, args)


class Lab(Listing):
    """The top: the stages beside the commands about all of them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Whoever reads may have read enough (`| head`): that is no failure, and click would make one of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it ends
            return 0

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*(f"stage-{number}" for number in stages.catalogue()), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name.startswith("stage-"):
            try:
                return StageVerbs(stages.find(_number(cmd_name)))
            except LabError as error:
                raise Sentence(str(error)) from None
        return super().get_command(ctx, cmd_name)


class StageVerbs(Listing):
    """`lab stage-1 …`: the stage's verbs and the attacks."""

    what = "verb"

    def __init__(self, stage: stages.Stage) -> None:
        super().__init__(f"stage-{stage.number}", help=f"Stage {stage.number}: {stage.package}.")
        self.stage = stage
        self.no_args_is_help = False
        self.invoke_without_command = True
        self.callback = self._no_verb

    def _no_verb(self) -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            verbs = ", ".join(self.list_commands(context))
            raise Sentence(f"Say what to do with stage-{self.stage.number}: {verbs}.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*STAGE_VERBS, *attacks.names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in attacks.names():
            return attack_command(cmd_name, self.stage)
        makers = {
            "demo": _demo,
            "attack": _attack,
            "server": _server,
            "client": _client,
            "capture": _capture,
            "questions": _questions,
            "report": report_of,
            "quiz": _quiz,
            "hint": _hint,
            "lan": _lan,
            "exercise": _of_the_exercise("exercise"),
            "check": _of_the_exercise("check"),
            "solution": _of_the_exercise("solution"),
            "audit": _audit,
            "test": _test,
        }
        return makers[cmd_name](self.stage) if cmd_name in makers else None


def _number(stage: str) -> int:
    """The number of `stage-N`, or of N. Not `isdigit`: ² is one too, and a million digits are."""
    number = re.fullmatch(r"(?:stage-)?([0-9]{1,4})", stage)
    if number is None:
        raise Sentence(f"A stage is written stage-N; {stage} is not. {_stages_there()}")
    return int(number[1])


def _stages_there() -> str:
    return f"These exist: {', '.join(f'stage-{n}' for n in stages.catalogue())}."


def on_the_bench(function: F) -> F:
    """The options of everything that is run on the bench."""
    for option in (
        click.option("--json", is_flag=True, help="Print one JSON object instead of lines."),
        click.option("--levers", default="", metavar="A=B …", help="What if? For example framing=none."),
        click.option(
            "--network", default="auto", metavar="lan|loopback", help="Which network; the LAN where possible."
        ),
    ):
        function = option(function)
    return function


def _options(**given: Any) -> Any:
    from lab.verbs import Options

    return Options(**{name: value for name, value in given.items() if value is not None})


def _bench(work: Callable[[], Any]) -> None:
    """Run a verb on the bench and leave with its exit status."""
    import asyncio

    raise SystemExit(asyncio.run(work()))


def attack_command(name: str, stage: stages.Stage | None) -> click.Command:
    """The command of one attack; without a stage it takes --stage."""

    def run(**given: Any) -> None:
        number, target = given.pop("stage", 0), given.pop("target")
        reading = {option: given.pop(option) for option in ("read", *READING) if option in given}
        chosen = stage or stages.find(number)
        if read := reading.pop("read", ""):
            from lab.reading import Wanted, read_capture

            style = "json" if given["json"] else reading.pop("as")
            wanted = {option: value for option, value in reading.items() if option != "as"}
            raise SystemExit(read_capture(chosen, read, Wanted(style=style, count=given["count"] or 0, **wanted)))
        if any(reading[option] != READING[option].get("default", ()) for option in reading):
            raise Sentence(f"{', '.join(f'--{option}' for option in READING)} are for captures; add --read FILE.")
        if target:
            from lab.by_hand import against

            _bench(lambda: against(chosen, name, target, _options(**given)))
        from lab import verbs

        _bench(lambda: verbs.attack(chosen, [name], _options(expect=verbs.by_make(), **given)))

    command = click.command(name, help=f"The attack {name}: `python -m attacks.{name}`.")(
        on_the_bench(_attack_options(run))
    )
    if stage is None:
        command.params.insert(0, click.Option(["--stage"], type=int, required=True, help="The stage to attack."))
    aim = "Bob's client (UDP)" if name == "spoofed_whisper" else "a stage's server"
    command.params.append(click.Option(["--target"], default="", help=f"HOST:PORT of {aim}, run by hand on loopback."))
    if name == "sniffer":
        command.params.append(click.Option(["--read"], default="", help="Read a pcap or pcapng file instead."))
        command.params.extend(click.Option([f"--{option}"], **given) for option, given in READING.items())
    return command


_PER_HOST = click.option("--per-host", is_flag=True, help="Write what each host's card heard to a file of its own too.")


def _attack_options(function: F) -> F:
    for option in (
        click.option("--slow", is_flag=True, help="Explain every step, and wait until it has been read."),
        click.option("--lan", default="", metavar="hub|switch", help="Who hears a frame; the same as the lever lan."),
        click.option(
            "--via", default="", metavar="WAY", help=f"How to get on the path, on the LAN: {', '.join(attacks.WAYS)}."
        ),
        click.option("--goal", default="", help="One goal of the attack; all otherwise."),
        click.option("--write", default="", metavar="FILE", help="Write the capture there too (pcapng)."),
        _PER_HOST,
        click.option("--duration", default=0.0, metavar="SECONDS", help="Begin nothing more after so many seconds."),
        click.option(
            "--count", type=click.IntRange(1), help="Run it so many times; with --read, read so many messages."
        ),
        click.option("-v", "--verbose", is_flag=True, help="Show what happens as it happens."),
    ):
        function = option(function)
    return function


def _demo(stage: stages.Stage) -> click.Command:
    @click.command("demo", help=STAGE_VERBS["demo"])
    @click.option("--goal", default="", help="Only attacks with this goal.")
    @_PER_HOST
    @on_the_bench
    def demo(**given: Any) -> None:
        from lab import verbs

        _bench(lambda: verbs.demo(stage, _options(**given)))

    return demo


def _attack(stage: stages.Stage) -> click.Command:
    @click.command("attack", help=STAGE_VERBS["attack"])
    @_attack_options
    @on_the_bench
    def attack(**given: Any) -> None:
        from lab import verbs

        _bench(lambda: verbs.attack(stage, [], _options(expect=verbs.by_make(), **given)))

    return attack


def _server(stage: stages.Stage) -> click.Command:
    @click.command("server", help=STAGE_VERBS["server"])
    @click.option("--listen", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all.")
    @click.option("--port", default=stage.port, help="TCP port.")
    @click.option("--max", "connections", default=500, type=click.IntRange(1), help="Connections at once.")
    @click.option("--levers", default="", metavar="A=B …")
    @click.option("--network", hidden=True, help="By hand it is this machine's own network.")
    def server(listen: str, port: int, connections: int, levers: str, network: str) -> None:
        from common.command_line import serve

        given = ["--listen", listen, "--port", str(port), "--max", str(connections), "--levers", levers]
        serve(f"stages.{stage.package}", given)

    return server


def _client(stage: stages.Stage) -> click.Command:
    @click.command("client", help=STAGE_VERBS["client"])
    @click.option("--name", default="", help="Who you are.")
    @click.option("--server", default="", metavar="HOST[:PORT]", help="Where the server is; this machine otherwise.")
    @click.option("--register", is_flag=True, help="Make an account.")
    @click.option("--password-file", default="", metavar="FILE", help="Read the password from its first line.")
    @click.option("--password-fd", metavar="N", help="Read the password from this file descriptor.")
    @click.option("--passphrase-file", default="", metavar="FILE", help="Read the room's passphrase (key_exchange).")
    @click.option("--passphrase-fd", metavar="N", help="Read the room's passphrase from this file descriptor.")
    @click.option("--ca", default="", metavar="FILE", help="The certificate of the authority to trust.")
    @click.option("--levers", default="", metavar="A=B …")
    @click.option("--network", hidden=True, help="By hand it is this machine's own network.")
    def client(
        name: str,
        server: str,
        register: bool,
        password_file: str,
        password_fd: str | None,
        passphrase_file: str,
        passphrase_fd: str | None,
        ca: str,
        levers: str,
        network: str,
    ) -> None:
        from common.command_line import chat

        if not name:
            raise Sentence(f"Say who you are: make stage-{stage.number} client NAME=alice")
        if (register or password_file or password_fd) and not stage.wants_password:
            raise Sentence(f"Stage {stage.number} knows no passwords; leave out REGISTER= and PASSWORD_FILE=.")
        if (passphrase_file or passphrase_fd) and not stage.knows_passphrase:
            raise Sentence(f"Stage {stage.number} knows no passphrase; leave out PASSPHRASE_FILE=.")
        if ca and not stage.wants_authority:
            raise Sentence(f"Stage {stage.number} knows no certificates; leave out CA=.")
        given = [f"--name={name}", "--server", server or "127.0.0.1", "--levers", levers]
        given += ["--register"] * register
        given += ["--password-file", password_file] if password_file else []
        given += ["--password-fd", password_fd] if password_fd else []
        given += ["--passphrase-file", passphrase_file] if passphrase_file else []
        given += ["--passphrase-fd", passphrase_fd] if passphrase_fd else []
        given += ["--ca", ca] if ca else []
        chat(f"stages.{stage.package}", given)

    return client


def _capture(stage: stages.Stage) -> click.Command:
    @click.command("capture", help=STAGE_VERBS["capture"])
    @of_student
    @on_the_bench
    def capture(student: str, secret: str, **given: Any) -> None:
        from lab import verbs
        from lab.students import student_at

        drawn = student_at(stage, student, secret)
        _bench(lambda: verbs.capture(stage, _options(**given), drawn))

    return capture


def _questions(stage: stages.Stage) -> click.Command:
    @click.command("questions", help=STAGE_VERBS["questions"])
    @click.argument("file", default="")
    @click.option("--answer", "answers", multiple=True, metavar="NAME=ANSWER", help="Answer without being asked.")
    @click.option("--save", is_flag=True, help="Keep results.txt and answers.json, to be handed in, in its folder.")
    @click.option("--student", default="", metavar="ID", help="Whose answers they are, for answers.json.")
    @click.option("--secret", default="", metavar="FILE", help="With --student: refuse a capture that is another's.")
    @click.option("--json", is_flag=True, help="Print one JSON object instead of lines.")
    @click.option("--levers", hidden=True)
    @click.option("--network", hidden=True, help="The capture has one.")
    def questions(
        file: str, answers: tuple[str, ...], save: bool, student: str, secret: str, json: bool, **_: Any
    ) -> None:
        from lab.capture_questions import run
        from lab.students import checked_id, student_at

        checked_id(student or "nobody")
        own = student_at(stage, student, secret) if secret else None
        raise SystemExit(run(stage.number, file, answers, save=save, as_json=json, student=student, own=own))

    return questions


def _quiz(stage: stages.Stage) -> click.Command:
    @click.command("quiz", help=STAGE_VERBS["quiz"])
    @click.option("--part", default="", help="Only predict, observe, explain, fix or further.")
    @click.option("--question", default="", metavar="ID", help="Only this question, also if it is answered.")
    @click.option("--again", is_flag=True, help="Ask also what was answered rightly before.")
    @click.option("--answer", "answers", multiple=True, metavar="ID=ANSWER", help="Answer without being asked.")
    @click.option("--json", is_flag=True, help="Print one JSON object instead of lines.")
    @click.option("--levers", hidden=True)
    @click.option("--network", hidden=True)
    def quiz(part: str, question: str, again: bool, answers: tuple[str, ...], json: bool, **_: Any) -> None:
        from lab.quiz import Wanted, run

        raise SystemExit(run(stage.number, Wanted(part, question, again), answers, as_json=json))

    return quiz


def _hint(stage: stages.Stage) -> click.Command:
    @click.command("hint", help=STAGE_VERBS["hint"])
    @click.argument("name", default="", metavar="[QUESTION]")
    @click.option("--question", default="", metavar="ID", help="The same.")
    @click.option("--levers", hidden=True)
    @click.option("--network", hidden=True)
    def hint(name: str, question: str, **_: Any) -> None:
        from lab.hints import show

        show(stage.number, name or question)

    return hint


def _lan(stage: stages.Stage) -> click.Command:
    """`lab stage-3 lan`, and `lab lan` for the first stage."""

    @click.command("lan", help=STAGE_VERBS["lan"])
    @click.option("--kind", type=click.Choice(["hub", "switch"]), default="hub", help="Does everybody hear all?")
    @click.option("--no-tmux", is_flag=True, help="No windows: say how to open shells, and wait for Ctrl-C.")
    @click.option("--levers", default="", metavar="A=B …")
    @click.option("--network", default="lan", hidden=True)
    def lan(kind: Any, no_tmux: bool, levers: str, network: str) -> None:
        from lab.lan_shell import Wishes, open_lan

        if network not in ("lan", "auto"):
            raise Sentence("Shells on hosts need the LAN; leave out NETWORK=.")
        _bench(lambda: open_lan(stage, Wishes(levers, kind, not no_tmux)))

    return lan


def _of_the_exercise(verb: str) -> Callable[[stages.Stage], click.Command]:
    def made(stage: stages.Stage) -> click.Command:
        from lab.exercise import commands

        command: click.Command = getattr(commands, verb)(stage)
        return command

    return made


def _audit(stage: stages.Stage) -> click.Command:
    @click.command("audit", help=STAGE_VERBS["audit"])
    @click.option("--levers", hidden=True)
    @click.option("--network", hidden=True)
    def audit(**_: Any) -> None:
        from lab.audit_page import show

        show(stage)

    return audit


def _test(stage: stages.Stage) -> click.Command:
    @click.command("test", help=STAGE_VERBS["test"], context_settings={"ignore_unknown_options": True})
    @click.option("--levers", hidden=True)
    @click.option("--network", default="", help="lan or loopback.")
    @click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
    def test(levers: str, network: str, pytest_arguments: tuple[str, ...]) -> None:
        from lab.runs import ROOT

        try:
            import pytest
        except ImportError:
            raise Sentence(f"The tests need the developers' tools; run: make stage-{stage.number} test") from None
        if network:
            os.environ["NETWORK"] = network
        raise SystemExit(pytest.main([str(ROOT / "tests" / f"stage{stage.number}"), *pytest_arguments]))

    return test


@click.group(cls=Lab, help="The Progressive Security Lab: a chat room, built again and again, attacked and judged.")
def lab() -> None:
    """The command `lab`."""


@lab.command(help="Every attack against every stage.")
@click.option("--ablations", is_flag=True, help="Run held cells without their defence too, and broken ones repaired.")
@click.option("--family", default="", metavar="NAME", help="The attacks of a family: dos (denial of service).")
@on_the_bench
def matrix(**given: Any) -> None:
    from lab import verbs

    _bench(lambda: verbs.matrix(_options(**given)))


@lab.command(help="Run the evidence of every audit again, or of those stages' named, and write it into the audits.")
@click.argument("numbers", metavar="[STAGE]…", nargs=-1, type=int)
@on_the_bench
def audits(numbers: tuple[int, ...], **given: Any) -> None:
    from lab.audits import regenerate
    from lab.handouts import write_all

    write_all()
    _bench(lambda: regenerate(numbers, _options(**given)))


@lab.command(help="The kit turned on a protocol nobody here wrote: IRC, as ngircd serves it. ATTACK: only that one.")
@click.argument("attack", default="")
@click.option("-v", "--verbose", is_flag=True, help="Show what happens as it happens.")
@click.option("--audit", is_flag=True, help="Run the evidence of audits/field-ngircd.md again and write it there.")
@on_the_bench
def field(attack: str, audit: bool, **given: Any) -> None:
    if audit:
        from lab.field.audit import write

        _bench(lambda: write(_options(**given)))
    from lab.field.verbs import field

    _bench(lambda: field(attack, _options(**given)))


@lab.command(help="Write the questions of each stage's quiz.toml into its handout.")
def handouts() -> None:
    from lab.handouts import write_all

    for path in write_all():
        click.echo(f"Written: {path}")


@lab.command(
    help="A hint for the question or exercise that you are at, or for QUESTION of stage-N; each time a better one."
)
@click.argument("stage", default="", metavar="[stage-N]")
@click.argument("question", default="")
def hint(stage: str, question: str) -> None:
    from lab.hints import show

    show(stages.find(_number(stage)).number if stage else 0, question)


@lab.command(help="How far you have come: demos seen, attacks run, questions answered, exercises passed.")
@click.option("--export", "target", default="", metavar="FILE", help="Write it to a file, to take with you.")
@click.option("--import", "source", default="", metavar="FILE", help="Add what a file knows: the best of both.")
@click.option("--json", is_flag=True, help="Print one JSON object instead of a map.")
def progress(target: str, source: str, json: bool) -> None:
    from pathlib import Path

    from lab.progress import export_to, import_from
    from lab.progress_map import show

    if source:
        import_from(Path(source))
    if target:
        export_to(Path(target))
    show(as_json=json)


@lab.command("diff", help="What a stage changes, as a diff: the lesson.")
@click.option("--from", "before", type=int, help="The stage before; the next lower one otherwise.")
@click.option("--to", "after", type=int, default=0, help="The stage.")
@click.option("--json", is_flag=True, help="Print one JSON object instead of a diff.")
def diff(before: int | None, after: int, json: bool) -> None:
    from lab.diff import show

    if not after:
        raise Sentence("Say which stage: make diff TO=3, or make diff FROM=2 TO=3")
    show(before, after, as_json=json)


@lab.command("wireshark", help="Open the last run's capture, or FILE, in Wireshark, with the lab's dissector.")
@click.argument("file", default="")
def wireshark(file: str) -> None:
    from lab.wireshark import show

    raise SystemExit(show(file))


@lab.command("dissector", help="Print the dissector for Wireshark and tshark (Lua), or write it to a file.")
@click.option("--write", default="", metavar="FILE", help="Write it there.")
def dissector(write: str) -> None:
    from pathlib import Path

    from lab.dissector import lua
    from lab.wireshark import write_lua

    if write:
        write_lua(Path(write))
    else:
        click.echo(lua(), nl=False)


@lab.command(help="Draw the last run's capture, or FILE: every packet between the hosts, as a sequence diagram.")
@click.argument("file", default="")
@click.option("--stage", default=0, help="Whose messages are named; guessed from the ports otherwise.")
@click.option(
    "--relative/--absolute", default=True, help="Sequence numbers from the beginning of each stream, or as sent."
)
@click.option("--first", default=100, type=click.IntRange(0), help="So many packets; 0 for all.  [default: 100]")
@click.option("--follow", default="", metavar="HOST,HOST", help="Only between two hosts, by name or address.")
@click.option("--mermaid", is_flag=True, help="In Mermaid's language instead of text.")
def flow(file: str, stage: int, relative: bool, first: int, follow: str, mermaid: bool) -> None:
    from pathlib import Path

    from lab.flow import show
    from lab.wireshark import last_capture

    show(
        Path(file) if file else last_capture(),
        stage=stage,
        relative=relative,
        first=first,
        follow=follow,
        as_mermaid=mermaid,
    )


@lab.command(help="What this machine can do: which network, why not the other, and the ways round.")
@click.option("--json", is_flag=True, help="Print one JSON object instead of lines.")
def doctor(json: bool) -> None:
    from lab.doctor import examine

    raise SystemExit(examine(as_json=json))


lab.add_command(_lan(stages.find(1)))
for _command in COMMANDS:
    lab.add_command(_command)

of_lan = click.option("--lab", default="", envvar="LAB_RUNNING", metavar="ID", help="Which LAN, where several run.")


@lab.command(
    "exec",
    help="Run a command on a host of a running LAN: lab exec alice -- ping bob. Without a command, a shell.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@of_lan
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def exec_(lab: str, host: str, command: tuple[str, ...]) -> None:
    from lab.lan_verbs import execute

    execute(lab, host, list(command[1:] if command[:1] == ("--",) else command))


@lab.command(help="Show or record what a host's card hears: lab capture alice --write FILE, or -- TCPDUMP'S ARGUMENTS.")
@of_lan
@click.option("--write", default="", metavar="FILE", help="Record into this file (pcapng).")
@click.option("--count", default=0, type=click.IntRange(0), help="End after so many frames.")
@click.option("--duration", default=0.0, type=click.FloatRange(0), metavar="SECONDS", help="End after so many seconds.")
@click.argument("host", default="")
@click.argument("tool", nargs=-1, type=click.UNPROCESSED)
def capture(lab: str, write: str, count: int, duration: float, host: str, tool: tuple[str, ...]) -> None:
    from lab.lan_verbs import capture

    if tool and (write or count or duration):
        raise Sentence("What stands after -- is for tcpdump, which has options of its own: leave the others out.")
    capture(lab, host, write, count, duration, list(tool))


@lab.command(help="Show who asks a running LAN for which name, and who answers.")
@of_lan
def dns(lab: str) -> None:
    from lab.lan_verbs import dns

    dns(lab)


@lab.command(help="Make a running LAN a hub (everybody hears all) or a switch.")
@of_lan
@click.argument("kind", type=click.Choice(["hub", "switch"]))
def become(lab: str, kind: Any) -> None:
    from lab.lan_verbs import become

    become(lab, kind)


@lab.command("completion", help="Print what a shell needs to complete: bash, zsh or fish.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise Sentence(f"There is no completion for {shell}.")
    click.echo(kind(lab, {}, "lab", "_LAB_COMPLETE").source())


@lab.command("help", help="What there is to do.")
@click.pass_context
def help_(ctx: click.Context) -> None:
    from lab.help import TEXT

    click.echo(TEXT)


def run(arguments: Sequence[str], command: click.Command = lab, name: str = "lab") -> int:
    """Run a command line. What a person can mend is one sentence on standard error and exit status 2."""
    try:
        status = command.main(list(arguments), prog_name=name, standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except LabError as error:
        from common.text import printable

        for line in str(error).splitlines():  # a file's name, a peer's words or a tool's may stand in it
            click.echo(printable(line), err=True)
        return 2
    except OSError as error:  # a disk can fill up wherever something is written
        if error.errno not in DISK_IS_FULL:
            raise
        click.echo(f"Not all could be written ({error.strerror}); make room, and run it again.", err=True)
        return 2
    except SystemExit as end:
        if isinstance(end.code, str):
            click.echo(end.code, err=True)
            return 2
        return int(end.code or 0)

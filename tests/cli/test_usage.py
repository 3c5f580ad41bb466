"""The manners of the command line: what is misspelt gets a suggestion and one usage line, whatever else happens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from command_run import run_command
from trace_invariants import CORPUS

from otelmig.cli import main as cli
from otelmig.cli.commands import COMMANDS
from otelmig.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = CORPUS / "v53.0-twohosts"
_LOGS = [str(_FOLDER / name) for name in ("source.log", "destination.log")]
_OUTER = "usage: otelmig COMMAND [OPTION]... [FILE]..."
_TRACE = "usage: otelmig trace [OPTION]... FILE..."


@pytest.mark.parametrize(
    ("arguments", "usage", "says"),
    [
        (["trase", "a.log"], _OUTER, "there is no command 'trase'; did you mean 'trace'?"),
        (["doc"], _OUTER, "there is no command 'doc'; did you mean 'doctor'?"),
        (["qqq"], _OUTER, "there is no command 'qqq'; otelmig --help lists the commands"),
        (["help", "sned"], _OUTER, "there is no command 'sned'; did you mean 'send'?"),
        (["a.log", "b 1.log"], _OUTER, "there is no command 'a.log'; did you mean: otelmig trace a.log 'b 1.log'"),
        (["-", "-q"], _OUTER, "there is no command '-'; did you mean: otelmig trace - -q"),
        (["a.jsonl.gz"], _OUTER, "there is no command 'a.jsonl.gz'; did you mean: otelmig send a.jsonl.gz"),
        (["--json", "a"], _OUTER, "no option --json before a command; did you mean: otelmig trace --json a"),
        (["--frob"], _OUTER, "there is no option --frob before a command; otelmig --help lists the commands"),
        (["trace", "a.log", "--widht", "40"], _TRACE, "there is no option --widht; did you mean --width?"),
        (["trace", "a.log", "--widht=40"], _TRACE, "there is no option --widht; did you mean --width?"),
        (["trace", "--jsno"], _TRACE, "there is no option --jsno; did you mean --json?"),
        (["trace", "-json", "a.log"], _TRACE, "there is no option -json; did you mean --json?"),
        (["trace", "--qqqqqq", "a.log"], _TRACE, "there is no option --qqqqqq"),
        (
            ["trace", "--migration", "7", "a.log"],
            _TRACE,
            "there is no option --migration; did you mean --migration-id?",
        ),
        (
            ["trace", "a.log", "--clock", "corect"],
            _TRACE,
            "--clock corect: want one of auto, annotate, correct, off; did you mean 'correct'?",
        ),
        (
            ["trace", "a.log", "--clock", "x"],
            _TRACE,
            "--clock x: want one of auto, annotate, correct, off",
        ),
        (["trace", "a.log", "--width", "wide"], _TRACE, "--width wide: want a number of columns from 1 to 10000"),
        (["trace", "a.log", "--width", "0"], _TRACE, "--width 0: want a number of columns from 1 to 10000"),
        (["trace", "a.log", "--width", "10001"], _TRACE, "--width 10001: want a number of columns from 1 to 10000"),
        (["trace", "a.log", "--width", "9" * 5000], _TRACE, "want a number of columns from 1 to 10000"),
        (["doctor", "a.log", "--width", "4" * 12], "usage: otelmig doctor [OPTION]... FILE...", "from 1 to 10000"),
        (["trace", "a.log", "--log-year", "2" * 5000], _TRACE, "want a year, such as 2026"),
        (["trace", "a.log", "--spool-size", "2" * 5000], _TRACE, "want a size of at least 1M, such as 500M or 2G"),
        (["trace", "a.log", "--spool-age", "2" * 5000], _TRACE, "want an age such as 12h or 30d"),
        (["trace", "a.log", "--width"], _TRACE, "--width: want COLUMNS after it"),
        (["trace", "a.log", "-o"], _TRACE, "--output: want FILE after it"),
        (["trace", "a.log", "--clock"], _TRACE, "--clock: want one of auto, annotate, correct, off after it"),
        (["trace", "a.log", "--help=x"], _TRACE, "--help x: want no value"),
        (["trace", "a.log", "--log-year", "abc"], _TRACE, "--log-year abc: want a year, such as 2026"),
        (["trace", "a.log", "--log-year", "0"], _TRACE, "--log-year 0: want a year, such as 2026"),
        (["trace", "a.log", "--timeout", "soon"], _TRACE, "--timeout soon: want a positive number of seconds"),
        (["trace", "a.log", "--timeout", "nan"], _TRACE, "--timeout nan: want a positive number of seconds"),
        (["trace", "a.log", "--spool-age", "x"], _TRACE, "--spool-age x: want an age such as 12h or 30d"),
        (
            ["trace", "a.log", "--trace-parent", "abc"],
            _TRACE,
            "--trace-parent abc: want 00-<32 hex digits>-<16 hex digits>-01, neither of them zero",
        ),
        (["trace", "a.log", "--pair", "x"], _TRACE, "--pair x: want SOURCE=DESTINATION"),
        (
            ["trace", "a.log", "--anchor", "source=noon"],
            _TRACE,
            "--anchor source=noon: want a time in RFC 3339, such as 2026-11-23T15:30:06Z",
        ),
        (["trace", "a.log", "--anchor", "source=1066-10-14T09:00:00Z"], _TRACE, "want a time between 1971 and 2200"),
        (["trace", "a.log", "--header", "x"], _TRACE, "--header: want key=value in printable ASCII"),
        (
            ["trace", "a.log", "--otlp", "http:/collector"],
            _TRACE,
            "not an OTLP endpoint: 'http:/collector'; want a URL such as http://localhost:4318",
        ),
        (
            ["serve", "--listen", "4319"],
            "usage: otelmig serve [OPTION]...",
            "--listen 4319: want HOST:PORT or [IPV6]:PORT",
        ),
        (["trace", ""], _TRACE, "FILE '': want a name that is not empty"),
        (["send", ""], "usage: otelmig send [OPTION]... [FILE]...", "FILE '': want a name that is not empty"),
        (["trace"], _TRACE, "want at least one FILE"),
        (["--verson"], _OUTER, "there is no option --verson before a command; did you mean --version?"),
        (["--hlep"], _OUTER, "there is no option --hlep before a command; did you mean --help?"),
        (["hlep"], _OUTER, "there is no command 'hlep'; did you mean 'help'?"),
        (["version"], _OUTER, "there is no command 'version'; did you mean --version?"),
        (["TRACE"], _OUTER, "there is no command 'TRACE'; did you mean 'trace'?"),
        (["trace", "--version"], _TRACE, "there is no option --version"),
        (["demo", "--anchor", "source=x"], "usage: otelmig demo [OPTION]...", "there is no option --anchor"),
        (
            ["demo", "a.log"],
            "usage: otelmig demo [OPTION]...",
            "'a.log' is one argument too many: otelmig demo takes options only",
        ),
        (["doctor", "a.log", "--strict"], "usage: otelmig doctor [OPTION]... FILE...", "there is no option --strict"),
    ],
)
def test_one_usage_line_and_what_was_meant(arguments: list[str], usage: str, says: str) -> None:
    """Two lines on stderr: how this very command is written, and what is wrong; exit code 2; nothing on stdout."""
    run = run_command(arguments)
    assert run.code == ExitCode.USAGE
    first, second = run.stderr.splitlines()
    assert first == usage
    assert second.startswith("otelmig: ")
    assert second.endswith(says)
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "sorce=x"], "--host sorce=x: want source=NAME or destination=NAME; did you mean 'source'?"),
        (["--host", "third=x"], "--host third=x: want source=NAME or destination=NAME"),
        (["--anchor", "sourc=2026-11-23T15:30:06Z"], "or a log's name); did you mean 'source'?"),
        (["--clock-status", "source"], "--clock-status source: want source=FILE and destination=FILE, once each"),
        (
            ["--clock-status", "destnation=x"],
            "source=FILE and destination=FILE, once each; did you mean 'destination'?",
        ),
        (["--max-drift", "stedy"], "chrony-slew; did you mean 'steady'?"),
        (
            ["--log-zone", "Europe/Berln"],
            "want an offset such as +02:00, or the name of a time zone; did you mean 'Europe/Berlin'?",
        ),
    ],
)
def test_a_misspelt_value_gets_a_suggestion(arguments: list[str], says: str) -> None:
    """A side, a tier of drift and a time zone are words, too; below the usage one line says what was probably meant."""
    run = run_command(["trace", "-q", *_LOGS, *arguments])
    assert run.code == ExitCode.USAGE
    usage, line = run.stderr.splitlines()
    assert usage == _TRACE
    assert line.endswith(says)


def test_what_could_not_be_read_is_said_before_a_name_that_is_in_it(tmp_path: Path) -> None:
    """A source that nobody knows may be in the log that was not there: both are said, the log first."""
    missing = str(tmp_path / "a.log")
    run = run_command(["trace", missing, _LOGS[1], "--pair", "a.log=destination.log"])
    assert run.code == ExitCode.USAGE
    unread, usage, pair = run.stderr.splitlines()
    assert unread == f"otelmig: {missing}: No such file or directory"
    assert usage == _TRACE
    assert pair == "otelmig: --pair: no source is called 'a.log' (there are: none)"


def test_nothing_asked_for() -> None:
    """`otelmig` alone says how it is used on stderr; the exit code is 2, for a script that lost its arguments."""
    run = run_command([])
    assert (run.code, run.stdout) == (ExitCode.USAGE, "")
    first, *_, last = run.stderr.splitlines()
    assert first == _OUTER
    assert last == "otelmig help COMMAND shows the options of a command."
    assert all(f"\n  {name} " in run.stderr for name in COMMANDS)
    assert len(run.stderr.splitlines()) <= 15


def test_options_and_files_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may follow an option that follows a file; after `--` a file may begin with a dash."""
    source, destination = _LOGS
    run = run_command(["trace", "--json", source, "--strict", destination])
    (migration,) = json.loads(run.stdout)["migrations"]
    assert migration["blackout"] is not None, "only both logs together tell it"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-source.log").write_bytes((_FOLDER / "source.log").read_bytes())
    run = run_command(["trace", "-q", "--", "-source.log"])
    assert run.stderr == "1 migration found; 0 lines not understood\n"
    assert run.code == ExitCode.DONE


def test_an_internal_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an exit code of its own; OTELMIG_DEBUG=1 shows where it was, and changes nothing else."""

    def fail(_: object) -> None:
        raise RuntimeError("the axle broke")

    monkeypatch.setattr(cli, "Envelope", fail)
    monkeypatch.delenv("OTELMIG_DEBUG", raising=False)
    run = run_command(["doctor", *_LOGS])
    assert run.code == ExitCode.INTERNAL_ERROR
    assert run.stderr == "otelmig: internal error: RuntimeError: the axle broke (OTELMIG_DEBUG=1 shows where)\n"
    monkeypatch.setenv("OTELMIG_DEBUG", "1")
    run = run_command(["doctor", *_LOGS])
    assert run.code == ExitCode.INTERNAL_ERROR
    assert 'raise RuntimeError("the axle broke")' in run.stderr
    assert run.stderr.splitlines()[-1].startswith("otelmig: internal error: ")


@pytest.mark.parametrize("code", sorted({code.value for code in ExitCode} - {0, 70, 130}))
def test_every_exit_code_is_reached(code: int, tmp_path: Path) -> None:
    """A run ends as --help says it does."""
    (tmp_path / "empty.log").touch()
    status = tmp_path / "status.csv"
    began_s = int(datetime(2026, 11, 23, 15, 30, tzinfo=UTC).timestamp())
    status.write_text(f"0A,ntp,2,{began_s}.0,0,0,0,0,0,0,0,0.0002,64,Normal\n")
    contradicted = ["--clock-status", f"source={status}", "--clock-status", f"destination={status}"]
    runs = {
        1: ["trace", "-q", "--strict", *_LOGS, *contradicted],
        2: ["trace", str(tmp_path / "missing.log")],
        3: ["trace", "-q", *_LOGS, "-o", str(tmp_path / "no" / "folder.jsonl")],
        4: ["trace", str(tmp_path / "empty.log")],
    }
    assert run_command(runs[code]).code == code


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--header", "bad"], "--header: want key=value in printable ASCII"),
        (["--certificate", "missing.pem"], "cannot read the certificate or key missing.pem"),
        (["--client-key", "missing.pem"], "cannot read the certificate or key missing.pem"),
        (["--log-format", "{bogus}"], "--log-format: unknown token {bogus}"),
        (["--probes", "missing"], "missing: No such file or directory"),
        (["--host", "x=y"], "--host x=y: want source=NAME or destination=NAME"),
        (["--trace-parent", "x"], "--trace-parent x: want"),
    ],
)
def test_options_are_checked_whether_or_not_they_are_used(
    options: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake is one without an export, too, and where only an event stream is read."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    for file in ("source.log", "source.events.json"):
        run = run_command(["trace", "-q", str(_FOLDER / file), *options])
        assert (run.code, run.stdout) == (2, "")
        assert says in run.stderr.splitlines()[-1]


def test_a_terminal_may_claim_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of its columns is believed up to the widest text."""
    monkeypatch.setenv("COLUMNS", "500000000")
    run = run_command(["trace", *_LOGS])
    assert (run.code, run.raised) == (0, "")
    assert max(map(len, run.stdout.splitlines())) <= 10_000

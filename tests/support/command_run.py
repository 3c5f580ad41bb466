"""The command, run inside this process as from a shell: what it printed, how it ended, what it took."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import otelmig
from otelmig.cli.main import main as otelmig_main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Run", "check_run", "run_command", "within"]

_EXIT_CODES: Final = {"trace": (0, 2, 4), "doctor": (0, 2, 4)}
_ACCOUNT: Final = re.compile(r"\d+ migrations? found\b.*\blines? not understood\b")
_CONTROLS: Final = re.compile(
    r"[^\n -~\xa0-\u061b\u061d-\u200d\u2010-\u2027\u2030-\u2065\u206a-\ud7ff\ue000-\U0010ffff]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a command did, run inside this process as from a shell."""

    code: int | None
    """None if it raised."""
    stdout: str
    stderr: str
    raised: str
    """Type, message and place of what it raised."""
    cpu_s: float


def run_command(arguments: Sequence[str]) -> Run:
    """Run `otelmig` with these arguments."""
    written = (io.BytesIO(), io.BytesIO())
    out, err = (io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in written)
    code, raised = None, ""
    begin = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = otelmig_main(arguments)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except _TooLongError:
            raise
        except BaseException as error:  # noqa: BLE001 - all that may be raised is what is looked for
            raised = f"{type(error).__name__}: {str(error)[:200]} at {_place(error)}"
    cpu_s = time.process_time() - begin
    stdout, stderr = (stream.getvalue().decode() for stream in written)
    return Run(code=code, stdout=stdout, stderr=stderr, raised=raised, cpu_s=cpu_s)


def _place(error: BaseException) -> str:
    """The last line of the package that ``error`` went through, and the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(otelmig.__file__).parent)
    own = [frame for frame in frames if frame.filename.startswith(package)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno} in {last.name}: {last.line}"


def check_run(run: Run, command: str) -> None:
    """Assert what holds for every run."""
    assert not run.raised, run.raised
    assert "Traceback" not in run.stderr, run.stderr[-500:]
    assert "internal error" not in run.stderr, run.stderr[-500:]
    controls = set(_CONTROLS.findall(run.stdout + run.stderr))
    assert not controls, f"what a terminal may obey is printed: {sorted(map(ascii, controls))}"
    assert run.code in _EXIT_CODES[command], f"exit code {run.code}: {run.stderr[-300:]}"
    if command == "trace":
        last = run.stderr.removesuffix("\n").rpartition("\n")[2]
        assert _ACCOUNT.search(last), f"the last line on stderr is no account: {last[:300]!r}"


class _TooLongError(BaseException):
    """Something used up its time."""


def _interrupt(_: int, __: object) -> None:
    raise _TooLongError


def within(limit_s: float, work: Callable[[], float]) -> float:
    """What ``work`` gives; infinite if it takes more CPU time than that."""
    previous = signal.signal(signal.SIGVTALRM, _interrupt)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
        return work()
    except _TooLongError:
        return float("inf")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)

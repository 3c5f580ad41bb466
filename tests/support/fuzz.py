"""Mutated logs through the whole command: `python tests/support/fuzz.py --seconds 600 --seed 1`.

Whatever the inputs are, `otelmig` ends with an exit code that it documents, without a traceback, in time that grows
with their size and in bounded memory; what it writes is a forest that every viewer takes, the same on every run.
Every case follows from its seed alone: `--seed N --cases 1` runs one again, `--keep DIR` keeps its files.
`--patterns` tries the regular expressions of the package on long texts that nearly match.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import hashlib
import io
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

from command_run import check_run, run_command, within
from mutations import KINDS, LARGEST, Case, recordings
from near_misses import LENGTH, slow_patterns
from otlp_lines import check_otlp, no_constant

__all__ = ["Fault", "run_cases"]

# --- one process that runs many cases -----------------------------------------------------------------------------

_ADDRESS_SPACE: Final = 1 << 30
_PEAK_KIB: Final = 400 << 10
"""Cases included: their files are held in memory, a line of 10 MB in several forms."""
_CASE_S: Final = 60
"""Of CPU time; a case that waits for something is ended by the clock on the wall."""
_BLOCKED_S: Final = 600
_LEAST_CPU_S: Final = 0.1
_GROWTH: Final = 8
_COMMANDS: Final = (("trace", "-o", "out.jsonl", "--json"), ("trace", "--width", "80"), ("doctor",))


def _check_case(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Run every command on the files in the current folder; the faults, each with its command line."""
    for command, *rest in _COMMANDS:
        run = run_command([command, *names, *rest])
        try:
            check_run(run, command)
            if "-o" in rest:
                check_otlp(Path("out.jsonl").read_bytes())
                assert json.loads(run.stdout, parse_constant=no_constant)["schema"].startswith("otelmig.summary/")
        except (AssertionError, ValueError, KeyError, OSError) as fault:
            yield shlex.join(["otelmig", command, *names, *rest]), f"{type(fault).__name__}: {fault}"


def _digest() -> str:
    output = Path("out.jsonl")
    return hashlib.sha256(output.read_bytes()).hexdigest() if output.exists() else ""


def _cpu_s(case: Case, limit_s: float) -> float:
    """CPU time of tracing ``case``, the better of two runs; infinite if that takes too long."""
    names = case.write(Path("grown"))
    arguments = ["trace", *(f"grown/{name}" for name in names), "-q"]
    gc.collect()
    return min(within(limit_s, lambda: run_command(arguments).cpu_s) for _ in range(2))


def _check_growth(case: Case) -> Iterator[tuple[str, str]]:
    """Four times the input may take no more than eight times as long."""
    count = 1
    while (once := _cpu_s(case.times(count), _CASE_S)) < _LEAST_CPU_S:
        if sum(map(len, case.files.values())) * count > LARGEST:
            return
        count *= 2
    four = _cpu_s(case.times(4 * count), 2 * _GROWTH * once)
    if four >= _GROWTH * once:  # a busy machine is no fault: only what stays is one
        once = _cpu_s(case.times(count), _CASE_S)
        four = _cpu_s(case.times(4 * count), 2 * _GROWTH * once)
    if four >= _GROWTH * once:
        command = f"otelmig trace, files repeated {count} and {4 * count} times"
        yield command, f"{once:.2f} s of CPU for {count} times the files grow to {four:.2f} s for four times as much"


def _work(job: dict[str, Any], *, again: bool) -> dict[str, Any]:
    case = Case.of(job["seed"], job["kinds"])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            names = case.write(Path())
            faults: list[tuple[str, str]] = []
            if again:
                run_command(["trace", *reversed(names), "-o", "out.jsonl", "-q"])
            else:
                faults += _check_case(names)
            digest = _digest()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if peak > _PEAK_KIB:
                faults.append(("otelmig", f"peak memory above {_PEAK_KIB >> 10} MiB: {peak >> 10} MiB"))
            if job["growth"] and not again and not faults:
                faults += _check_growth(case)
        finally:
            os.chdir("/")
    return {"faults": faults, "digest": digest}


def _serve(*, again: bool) -> None:
    """Answer jobs on stdin, one a line; a case that takes too long ends this process."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "TRACEPARENT"))]:
        del os.environ[name]
    os.environ |= {"OTELMIG_DEBUG": "1", "COLUMNS": "100"}
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    faulthandler.register(signal.SIGPROF, chain=True)  # says where, then ends the process
    recordings()
    answers = sys.stdout
    for line in sys.stdin:
        faulthandler.dump_traceback_later(_BLOCKED_S, exit=True)
        signal.setitimer(signal.ITIMER_PROF, _CASE_S)
        answer = _work(json.loads(line), again=again)
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


# --- the process that hands cases out -----------------------------------------------------------------------------

_RENEWED: Final = 250
"""A worker process runs so many cases, then another takes its place."""
_GROWTH_EVERY: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What was wrong with one case."""

    seed: int
    command: str
    what: str
    repeat: str
    """The arguments of this program that run the case again."""

    @property
    def signature(self) -> str:
        """The fault without what differs from case to case."""
        return re.sub(r"\d+", "N", self.what.rpartition(" at ")[2][:160])


class _Worker:
    """A child process that runs cases until it is renewed or dies."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._done = 0
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] = io.StringIO()

    def ask(self, job: Mapping[str, Any]) -> None:
        """Hand a case over."""
        if self._process is None or self._done >= _RENEWED:
            self.close()
            command = [sys.executable, __file__, "--worker", self._role]
            environ = os.environ | {"PYTHONHASHSEED": "1" if self._role == "first" else "2"}
            self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environ
            )
            self._done = 0
        self._done += 1
        stdin, _ = self._pipes()
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What became of the case."""
        _, stdout = self._pipes()
        line = stdout.readline()
        if line:
            found: dict[str, Any] = json.loads(line)
            if found["faults"]:
                self._done = _RENEWED  # what was wrong may have left something behind
            return found
        self._errors.seek(0)
        frames = [line.strip() for line in self._errors if "otelmig" in line]
        code = self.close()
        where = f" at {frames[0]}" if frames else ""
        what = f"takes more than {_CASE_S} s" if code == -signal.SIGPROF else f"the process ends with {code}"
        return {"faults": [("otelmig", f"{what}{where}")], "digest": None}

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("no worker process")
        return process.stdin, process.stdout

    def close(self) -> int:
        """End the process; its exit code."""
        if self._process is None:
            return 0
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._errors.close()
        code, self._process = self._process.returncode, None
        return code


def run_cases(seeds: Iterable[int], kinds: Sequence[str] = KINDS) -> Iterator[tuple[int, list[Fault]]]:
    """Run the cases; each seed with its faults. Two processes with different hash seeds must write the same bytes."""
    first, again = _Worker("first"), _Worker("again")
    try:
        for seed in seeds:
            job = {"seed": seed, "kinds": list(kinds), "growth": seed % _GROWTH_EVERY == 0}
            for worker in (first, again):
                worker.ask(job)
            answer, repeated = first.answer(), again.answer()
            found = [*answer["faults"]] or [*repeated["faults"]]
            if not found and answer["digest"] != repeated["digest"]:
                found = [("otelmig trace FILES -o out.jsonl", "the same files in another order give other bytes")]
            repeat = f"--seed {seed} --cases 1" + ("" if tuple(kinds) == KINDS else f" --kinds {','.join(kinds)}")
            yield seed, [Fault(seed=seed, command=command, what=what, repeat=repeat) for command, what in found]
    finally:
        first.close()
        again.close()


# --- the command --------------------------------------------------------------------------------------------------


say: Final = partial(print, flush=True)
"""This is a program too: it prints what it finds as it finds it."""


def main() -> int:
    """Run cases until the time is over; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description="Mutated logs through the whole command.")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--seed", type=int, default=1, help="of the first case; the others follow")
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="stop after this many; no regular expressions")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS), help=", ".join(KINDS))
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the files of cases with faults into DIR")
    parser.add_argument("--patterns", action="store_true", help="try the regular expressions only")
    parser.add_argument("--length", type=int, default=LENGTH, help="of the texts that nearly match")
    parser.add_argument("--worker", choices=("first", "again"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        _serve(again=arguments.worker == "again")
        return 0
    slow = [] if arguments.cases < sys.maxsize and not arguments.patterns else list(slow_patterns(arguments.length))
    for line in slow:
        say(f"not linear: {line}")
    faults = Counter[str]() if arguments.patterns else _fuzz(arguments)
    return 1 if slow or faults else 0


def _fuzz(arguments: argparse.Namespace) -> Counter[str]:
    """Print each fault as it is found, and how often each was found at the end."""
    found: Counter[str] = Counter()
    until = time.monotonic() + arguments.seconds
    seeds = iter(range(arguments.seed, arguments.seed + arguments.cases))
    done = 0
    for seed, faults in run_cases(iter(partial(_next_before, seeds, until), None), arguments.kinds):
        done += 1
        for fault in faults:
            found[fault.signature] += 1
            if found[fault.signature] > 1:
                continue
            say(f"seed {seed}: {fault.command}\n  {fault.what}\n  again: {__file__} {fault.repeat}")
            if arguments.keep is not None:
                Case.of(seed, arguments.kinds).write(arguments.keep / str(seed))
    say(f"{done} cases, {sum(found.values())} faults of {len(found)} kinds")
    for signature, count in found.most_common():
        say(f"{count:>6} {signature}")
    return found


def _next_before(seeds: Iterator[int], until: float) -> int | None:
    return next(seeds, None) if time.monotonic() < until else None


if __name__ == "__main__":
    sys.exit(main())

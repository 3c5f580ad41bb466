"""The programs in examples/ move VMs, by the rules of every release, and tell of each attempt once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import move_vm
import move_vm_async
import pytest
from document_parts import REPOSITORY
from hypervisor_pair import RELEASES, Ending, HypervisorPair
from telemetry import Telemetry

from otelmig import announcement as names
from otelmig.announcement import ClientResult, RecordName
from otelmig.instrument import migration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_URL: Final = "tcp:127.0.0.1:4444"
_PROGRAMS: Final = pytest.mark.parametrize("module", [move_vm, move_vm_async], ids=lambda module: module.__name__)


@contextmanager
def _tried(module: Any, pairs: Sequence[HypervisorPair], telemetry: Telemetry) -> Iterator[None]:
    """An example whose telemetry goes to memory, and that waits for destinations to listen, however long it takes."""

    def announced(**told: str) -> Any:
        return migration(**told, **telemetry.providers)  # type: ignore[arg-type] # one of each type

    def slept(_: float) -> None:
        assert all(pair.listens(60) for pair in pairs)

    async def slept_soon(_: float) -> None:
        await asyncio.to_thread(slept, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "migration", announced)
        patch.setattr(module, "sleep", slept if module is move_vm else slept_soon)
        yield


def _move(module: Any, pair: HypervisorPair, telemetry: Telemetry, longest_s: float) -> None:
    """Run an example inside this process."""
    with _tried(module, [pair], telemetry):
        moving = module.move(str(pair.source), str(pair.destination), _URL, longest_s)
        if moving is not None:
            asyncio.run(moving)


def _errors(error: BaseException) -> list[BaseException]:
    """An error, or all those in a group."""
    return (
        [error]
        if not isinstance(error, BaseExceptionGroup)
        else [each for one in error.exceptions for each in _errors(one)]
    )


@_PROGRAMS
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("ending", Ending)
def test_every_ending_by_the_rules_of_every_release(
    module: Any,
    release: str,
    ending: Ending,
    tmp_path: Path,
) -> None:
    """A VM that runs at the destination is a move without an error; whatever else happens is an error, and in time."""
    telemetry = Telemetry()
    with HypervisorPair(tmp_path, release, ending, lasts_s=0.02) as pair:
        try:
            _move(module, pair, telemetry, 0.5 if ending is Ending.HANGS else 10)
        except (OSError, EOFError, RuntimeError, ExceptionGroup) as error:
            errors = _errors(error)
        else:
            errors = []
        moved = pair.running == "destination"
    assert moved == (ending is Ending.SUCCESS) == (not errors)
    assert any(isinstance(error, TimeoutError) for error in errors) == (ending is Ending.HANGS)
    (span,) = telemetry.spans
    attributes = dict(span.attributes or {})
    assert attributes[names.RESULT] == (ClientResult.RETURNED if moved else ClientResult.FAILED)
    assert (attributes[names.ADDRESS], attributes[names.PORT]) == ("127.0.0.1", 4444)
    assert [data.log_record.event_name for data in telemetry.records] == list(RecordName)
    assert {data.log_record.span_id for data in telemetry.records} == {span.context.span_id}


@_PROGRAMS
@pytest.mark.parametrize("release", RELEASES)
def test_a_destination_that_does_not_listen_there(
    module: Any,
    release: str,
    tmp_path: Path,
) -> None:
    """Up to v52 the source says so; from v53 on the destination waits, and time runs out."""
    telemetry = Telemetry()
    with HypervisorPair(tmp_path, release, is_reachable=False) as pair:
        with pytest.raises((OSError, RuntimeError, ExceptionGroup)) as caught:
            _move(module, pair, telemetry, 0.5)
        assert pair.running == "source"
    assert any(isinstance(error, TimeoutError) for error in _errors(caught.value)) != pair.semantics.send_blocks
    assert "refused" in str(_errors(caught.value)) or not pair.semantics.send_blocks


@_PROGRAMS
def test_as_a_command(module: Any, tmp_path: Path) -> None:
    """Without an SDK, as a user runs it: it moves the VM and says nothing."""
    with HypervisorPair(tmp_path, "v53.0", patience_s=60) as pair:
        path = REPOSITORY / "examples" / f"{module.__name__}.py"
        command = [sys.executable, str(path), str(pair.source), str(pair.destination), _URL]
        bare = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=bare)
        assert (done.stdout, done.stderr, pair.running) == ("", "", "destination")


def test_a_hundred_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A hundred moves of one program at once: each has its own span, and both records are inside it."""
    telemetry = Telemetry()

    async def every(pairs: list[HypervisorPair]) -> None:
        async def one(number: int, pair: HypervisorPair) -> None:
            with telemetry.tracer_provider.get_tracer("caller").start_as_current_span(f"vm {number}"):
                await move_vm_async.move(str(pair.source), str(pair.destination), f"tcp:127.0.0.1:{number}", 60)

        await asyncio.gather(*(one(number, pair) for number, pair in enumerate(pairs, start=1)))

    folders = [tmp_path_factory.mktemp("p") for _ in range(100)]
    with ExitStack() as stack:
        pairs = [stack.enter_context(HypervisorPair(folder, "v53.0")) for folder in folders]
        with _tried(move_vm_async, pairs, telemetry):
            asyncio.run(every(pairs))
    outer = {span.context.span_id: span.name for span in telemetry.spans if span.parent is None}
    asked = {span.context.span_id: span for span in telemetry.spans if span.parent is not None}
    assert (len(outer), len(asked), len(telemetry.records)) == (100, 100, 200)
    for span in asked.values():
        assert span.parent is not None
        assert outer[span.parent.span_id] == f"vm {dict(span.attributes or {})[names.PORT]}"
    for data in telemetry.records:
        span = asked[data.log_record.span_id]
        assert dict(data.log_record.attributes or {})[names.PORT] == dict(span.attributes or {})[names.PORT]


@pytest.mark.parametrize("name", ["move_vm", "move_vm_async"])
def test_examples_are_short(name: str) -> None:
    """At most forty lines each: what an orchestrator has to do, and nothing else."""
    assert len((REPOSITORY / "examples" / f"{name}.py").read_text().splitlines()) <= 40

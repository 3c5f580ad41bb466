"""Every shipped file: taken by the real program, started, and with the lines to edit where a user looks for them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import pytest
from delivery_cases import delivered
from otlp_receiver import grpc_receiver
from trace_invariants import inputs, traced

from backends.backend_stack import CONFIGURATIONS, GATE
from backends.jaeger_api import Jaeger
from backends.retry import eventually
from otelmig.otlp.payload import Payload

if TYPE_CHECKING:
    from backends.backend_stack import BackendStack

pytestmark = pytest.mark.backend

_CERTIFICATES: Final = Path(__file__).parents[1] / "certificates"
_RUN_AS: Final = (
    ("agent.yaml",),
    ("agent.yaml", "jaeger.yaml"),
    ("agent.yaml", "tempo.yaml"),
    ("agent.yaml", "file_log.yaml"),
    ("agent.yaml", "jaeger.yaml", "file_log.yaml"),
    ("agent_balanced.yaml",),
    ("agent_balanced.yaml", "file_log.yaml"),
    ("agent_sharded.yaml",),
    ("agent_sharded.yaml", "file_log.yaml"),
    ("gateway.yaml",),
    ("gateway.yaml", "jaeger.yaml"),
    ("gateway.yaml", "tempo.yaml"),
    ("live.yaml",),
    ("live.yaml", "live_private.yaml"),
    ("live.yaml", "live_kafka_host.yaml"),
    ("live.yaml", "live_private.yaml", "live_kafka_host.yaml"),
    ("live.yaml", "live_file.yaml"),
    ("live.yaml", "live_journald.yaml"),
    ("live.yaml", "live_journald.yaml", "live_kafka_host.yaml"),
    ("live_gateway.yaml",),
    ("live_gateway.yaml", "live_file.yaml"),
    ("live_kafka_service.yaml",),
    ("agent.yaml", "live_metrics.yaml"),
)
"""The combinations that the README of the folder speaks of."""
_ONE_LINE: Final = ("live_journald.yaml", "live_metrics.yaml")
"""Files with one line to edit."""
_AS_THEY_ARE: Final = ("live_private.yaml",)
"""Files in which nothing is to be edited: all of it follows from the message table."""


def _validate(binary: Path, files: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    configs = [f"--config={folder / name}" for name in files]
    return subprocess.run([binary, "validate", GATE, *configs], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("files", _RUN_AS, ids="+".join)
def test_collector_takes_the_files(
    files: tuple[str, ...], binaries: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are shipped, in every combination, without a warning."""
    monkeypatch.setenv("HOSTNAME", "alpha")
    done = _validate(binaries["otelcol"], files, CONFIGURATIONS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("binary", "shipped"), [("otelcol", "gateway.yaml"), ("jaeger", "jaeger_server.yaml")])
def test_the_example_is_taken(binary: str, shipped: str, binaries: dict[str, Path]) -> None:
    """What examples/compose.yaml puts on top of a shipped file, for the Collector and for Jaeger."""
    examples = CONFIGURATIONS.parent / "examples"
    top = examples / ("collector.yaml" if binary == "otelcol" else "jaeger.yaml")
    command = [str(binaries[binary]), "validate", f"--config={CONFIGURATIONS / shipped}", f"--config={top}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"/{shipped}" in (examples / "compose.yaml").read_text()


def test_collector_refuses_a_typo(binaries: dict[str, Path], tmp_path: Path) -> None:
    """The test above is not blind."""
    text = (CONFIGURATIONS / "agent.yaml").read_text()
    (tmp_path / "agent.yaml").write_text(text.replace("max_elapsed_time", "max_elapsed"))
    done = _validate(binaries["otelcol"], ("agent.yaml",), tmp_path)
    assert done.returncode == 1
    assert "max_elapsed" in done.stderr


def test_nothing_is_built_that_no_file_uses(binaries: dict[str, Path]) -> None:
    """The manifest has the components of the shipped files, and no other."""
    done = subprocess.run([binaries["otelcol"], "components"], capture_output=True, text=True, check=True, timeout=60)
    names = re.findall(r"(?m)^ {4}- name: (\w+)$", done.stdout)
    shipped = "".join((CONFIGURATIONS / name).read_text() for files in _RUN_AS for name in files)
    assert len(names) > 10
    assert not [name for name in names if not re.search(rf"(?m)(?:^|[{{ ]){name}(?:/\w+)?:", shipped)]


@pytest.mark.parametrize("path", sorted(CONFIGURATIONS.glob("*.yaml")), ids=lambda path: str(path.name))
def test_files_begin_with_what_is_to_be_edited(path: Path) -> None:
    """One line what the file is for, then the three marked lines."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    if path.name.endswith(".rules.yaml"):
        assert "To edit: " in "".join(lines[:3])
        return
    if path.name in _AS_THEY_ARE:
        assert " # EDIT: " not in path.read_text()
        return
    wanted = [2] if path.name in _ONE_LINE else [2, 3, 4]
    assert [number for number, line in enumerate(lines, 1) if " # EDIT: " in line] == wanted
    assert max(map(len, lines[4:])) <= 160


@pytest.mark.parametrize("target", ["jaeger.yaml", "tempo.yaml"])
def test_targets_reach_a_backend(target: str, stack: BackendStack) -> None:
    """With the file of a target on top, the agent sends where that says; here to a Jaeger, whose intake is the same."""
    moved = {"127.0.0.1:14317": f"localhost:{stack.port(14317)}"}
    stack.jaeger()
    stack.collector(stack.place("agent.yaml", {"14317": "9"}), stack.place(target, moved))
    (trace,) = traced(inputs("v53.0-tls"))
    assert delivered([Payload.of_trace(trace)], stack.url(4318), None).complete
    assert eventually(lambda: Jaeger(stack.url(16686)).trace(trace.trace_id), bool)


@pytest.mark.parametrize("target", ["jaeger.yaml", "tempo.yaml"])
def test_targets_with_tls_and_a_token(target: str, stack: BackendStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edited as their lines say, the plain port of the agent's file is no more, and the token is the environment's."""
    text = (CONFIGURATIONS / target).read_text()
    (own,) = re.findall(r"\{insecure: false, ca_file: \S+\}", text)
    (token,) = re.findall(r'authorization: "\$\{env:OTLP_AUTHORIZATION\}"', text)
    edits = {
        "tls: {insecure: true}": re.sub(r"ca_file: [^}]+", f"ca_file: {_CERTIFICATES / 'ca.pem'}", f"tls: {own}"),
        "headers: {": f"headers: {{{token}, ",
    }
    monkeypatch.setenv("OTLP_AUTHORIZATION", "Bearer of a token")
    key, chain = ((_CERTIFICATES / f"server.{kind}").read_bytes() for kind in ("key", "pem"))
    with grpc_receiver(stack.port(14317), grpc.ssl_server_credentials([(key, chain)])) as receiver:
        stack.collector(stack.place("agent.yaml"), stack.place(target, edits))
        (trace,) = traced(inputs("v53.0-tls"))
        assert delivered([Payload.of_trace(trace)], stack.url(4318), None).complete
        assert len(eventually(lambda: receiver.spans, bool)) == len(trace.spans)
    assert receiver.headers[0]["authorization"] == "Bearer of a token"


def test_tempo_is_told_of_old_traces() -> None:
    """What its file must have is what makes old logs searchable, soon, and the agent's port."""
    text = (CONFIGURATIONS / "tempo_server.yaml").read_text()
    assert re.search(r"(?m)^ {4}ingestion_time_range_slack: 192h$", text)
    assert "storage: {trace: {blocklist_poll: 20s, " in text
    assert "127.0.0.1:14317" in text
    assert "127.0.0.1:14317" in (CONFIGURATIONS / "tempo.yaml").read_text()

"""A machine with the shipped configuration files on it: their addresses moved to free ports, their folders to one."""

from __future__ import annotations

import json
import re
import signal
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backends.kafka_broker import broker
from backends.server import Server, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CONFIGURATIONS", "GATE", "SECOND_GATEWAY", "TWO_GATEWAYS", "BackendStack"]

CONFIGURATIONS: Final = Path(__file__).parents[2] / "collector-config"
TWO_GATEWAYS: Final = {
    "agent_balanced.yaml": {'hostnames: ["127.0.0.1:24317"]': 'hostnames: ["127.0.0.1:24317", "127.0.0.1:34317"]'},
    "agent_sharded.yaml": {'otlp_grpc/2: {endpoint: "127.0.0.1:24317"': 'otlp_grpc/2: {endpoint: "127.0.0.1:34317"'},
}
"""For an agent's file: the edits that make its gateways two."""
SECOND_GATEWAY: Final = {"24317": "34317", "23133": "33133", "28889": "38889", "otelmig-gateway": "otelmig-gateway-2"}
"""For gateway.yaml: beside the first on the same machine."""
_ADDRESSES: Final = {"alpha": ",host.ip=10.9.0.1", "beta": ",host.ip=10.9.0.2"}
"""What the two hosts of the recordings said of themselves; of others their real addresses are detected."""
_ADDRESS: Final = re.compile(r"127\.0\.0\.1:(\d+)")
_FOLDER: Final = re.compile(r"(?<=[ \[])/var/")
GATE: Final = "--feature-gates=stanza.synchronousLogEmitter"
"""Without it a Collector saves how far a file was read before the lines are on their way."""
_ENOUGH: Final = 32
"""Ports, more than all files together name; taken at once, so that none is given twice."""
_INGESTER: Final = """ingester:
  {trace_idle_period: 1s, flush_check_period: 1s, max_block_duration: 2s,
    lifecycler: {address: 127.0.0.1, min_ready_duration: 0s, ring: {replication_factor: 1, kvstore: {store: inmemory}}}}
"""
_OF_TEMPO_2: Final = {
    "backend_worker:": "compactor:",
    "wal: {path: /var/tempo/wal}": "wal: {path: /var/tempo/wal, ingestion_time_range_slack: 192h}",
    "192h": "87600h",  # recordings are older than a week
    "bind_addr: [127.0.0.1]": "bind_addr: [127.0.0.1], bind_port: 7946",
    "metrics_generator: {storage:": "metrics_generator: {ring: {kvstore: {store: inmemory}, instance_addr: 127.0.0.1}, "
    "traces_storage: {path: /var/tempo/traces, ingestion_time_range_slack: 87600h}, storage:",
    "  processor: {\n": "  processor: {\n    local_blocks: {filter_server_spans: false, flush_to_storage: true, "
    "flush_check_period: 1s, trace_idle_period: 1s, max_block_duration: 2s},\n",
    "processors: [service-graphs,": "processors: [local-blocks, service-graphs,",
    "metrics: {max_duration: 0s": "metrics: {query_backend_after: 1s, max_duration: 0s",
    "blocklist_poll: 20s": "blocklist_poll: 1s",
}
"""Edits that make a Tempo v2.8 of the shipped files for v3, quick enough for tests; all else is as shipped."""
_SILENT: Final = "yaml:service::telemetry::metrics::level: none"
"""The Collector's own metrics have a port that the shipped file of an agent does not name."""


class BackendStack:
    """Processes that find each other as the shipped files say; several sites do not disturb each other."""

    def __init__(self, folder: Path, binaries: Mapping[str, Path]) -> None:
        self._folder = folder
        self._binaries = {"python": Path(sys.executable)} | dict(binaries)
        self._ports: dict[int, int] = {}
        self._spare = free_ports(_ENOUGH)
        self._started: list[Server] = []

    def port(self, shipped: int) -> int:
        """Where that listens which the files have on the port ``shipped``."""
        if shipped not in self._ports:
            self._ports[shipped] = self._spare.pop()
        return self._ports[shipped]

    def url(self, shipped: int) -> str:
        """The same as a URL."""
        return f"http://127.0.0.1:{self.port(shipped)}"

    def folder(self, shipped: str) -> Path:
        """Where the folder is that the files call ``shipped``."""
        return self._folder / shipped.removeprefix("/")

    def place(self, name: str, edits: Mapping[str, str] | None = None, copy: str = "") -> Path:
        """A shipped file, as a user would edit it: each text of ``edits`` must be there, and is replaced."""
        text = (CONFIGURATIONS / name).read_text()
        for old, new in (edits or {}).items():
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        text = _ADDRESS.sub(lambda address: f"127.0.0.1:{self.port(int(address[1]))}", text)
        path = self._folder / f"{copy}{name}"
        path.write_text(_FOLDER.sub(f"{self._folder}/var/", text))
        return path

    def collector(self, *files: Path, health: int = 13133, silent: bool = True, options: Sequence[str] = ()) -> Server:
        """A Collector that is up and running with these files; unless ``silent``, its own metrics are as they say."""
        configs = [f"--config={file}" for file in (*files, *([_SILENT] if silent else ()))]
        return self._start("otelcol", [*options, *configs], self.url(health), files[-1].stem)

    def host(
        self,
        name: str,
        *overlays: str,
        service: int = 4319,
        more: Mapping[str, str] | None = None,
        silent: bool = True,
        machine: str = "",
        settings: Sequence[str] = (),
    ) -> Server:
        """A host whose Collector is up and running with live.yaml, and sends to a port of the shipped files.

        ``more`` are further edits of live.yaml, ``settings`` what is said on top of all files (``KEY::KEY: VALUE``).

        Its logs are in ``/var/log/NAME``, its name is ``NAME``, and so is its id unless it is ``machine``; its address
        is as the recordings have it.
        """
        edits = {
            "/var/log/cloud-hypervisor": f"/var/log/{name}",
            "/var/lib/otelcol-otelmig-live": f"/var/lib/{name}",
            "127.0.0.1:4319": f"127.0.0.1:{service}",
        }
        self.folder(f"/var/log/{name}").mkdir(parents=True, exist_ok=True)
        health = self._spare.pop()
        edits |= {"127.0.0.1:13143": f"localhost:{health}"} | dict(more or {})
        files = [self.place("live.yaml", edits, copy=f"{name}-")]
        files += [self.place(overlay, copy=f"{name}-") for overlay in overlays]
        on_top = [*([_SILENT] if silent else ()), *(f"yaml:{each}" for each in settings)]
        configs = [f"--config={file}" for file in (*files, *on_top)]
        return self._start(
            "otelcol",
            [GATE, *configs],
            f"http://localhost:{health}",
            name,
            environ={
                "OTEL_RESOURCE_ATTRIBUTES": f"host.name={name},host.id={machine or name}{_ADDRESSES.get(name, '')}"
            },
        )

    def service(self, *options: str | Path, state: str = "otelmig", health: str | None = None) -> Server:
        """A `otelmig serve` that is up and running, on the port that the hosts send to; its traces are in a file."""
        command = ["-m", "otelmig", "serve", "-q", "--listen", self.url(4319).removeprefix("http://")]
        command += ["--state", str(self.folder(f"/var/lib/{state}")), "-o", str(self.folder("/migrations.jsonl"))]
        self.folder("/var/lib").mkdir(parents=True, exist_ok=True)
        return self._start("python", [*command, *map(str, options)], health or f"{self.url(4319)}/status", state)

    def status(self) -> dict[str, Any]:
        """What the service says of itself."""
        with urllib.request.urlopen(f"{self.url(4319)}/status", timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
        return document

    def kafka(self, java: Path, classpath: str) -> Server:
        """A broker that is up and running, on the port that the files have."""
        server = broker(java, classpath, self._folder / "kafka", self.port(9092), self._spare.pop())
        self._started.append(server)
        server.start()
        return server

    def jaeger(self, edits: Mapping[str, str] | None = None) -> Server:
        """A Jaeger that is up and running."""
        page = self._folder / "jaeger_ui.json"
        page.write_text((CONFIGURATIONS / page.name).read_text())
        path = self.place("jaeger_server.yaml", {page.name: str(page)} | dict(edits or {}))
        return self._start("jaeger", [f"--config={path}"], f"{self.url(14133)}/status", "jaeger")

    def tempo(self, more: Mapping[str, str] | None = None) -> Server:
        """A Tempo that is up and running, with the shipped files as far as v2.8 knows them, and ``more`` edits.

        It has other names for what writes and compacts blocks, and counts by traces that its generator keeps.
        """
        text = "".join((CONFIGURATIONS / name).read_text() for name in ("tempo_server.yaml", "tempo_metrics.yaml"))
        for old, new in (_OF_TEMPO_2 | dict(more or {})).items():
            assert old in text, f"Tempo's files have no {old!r}"
            text = text.replace(old, new)
        text = re.sub(r"(?s)live_store:\n.*?\n(?=\S)", _INGESTER, text)
        for port in (3200, 9095, 7946):
            text = re.sub(rf"(port: ){port}\b", rf"\g<1>{self.port(port)}", text)
        text = _ADDRESS.sub(lambda address: f"127.0.0.1:{self.port(int(address[1]))}", text)
        path = self._folder / "tempo.yaml"
        path.write_text(_FOLDER.sub(f"{self._folder}/var/", text))
        # it takes more than a minute to end by itself
        arguments, ready = [f"-config.file={path}"], f"{self.url(3200)}/ready"
        return self._start("tempo", arguments, ready, "tempo", ending=signal.SIGKILL)

    def _start(
        self,
        binary: str,
        arguments: list[str],
        health: str,
        name: str,
        *,
        ending: signal.Signals = signal.SIGTERM,
        environ: Mapping[str, str] | None = None,
    ) -> Server:
        server = Server(
            [self._binaries[binary], *arguments],
            health=health,
            log=self._folder / f"{name}.output",
            ending=ending,
            environ=environ,
        )
        self._started.append(server)
        server.start()
        return server

    def logs(self) -> list[tuple[str, str]]:
        """The end of what each process wrote, by the name of its log."""
        return [(path.name, path.read_text(errors="replace")[-4000:]) for path in self._folder.glob("*.output")]

    def close(self) -> None:
        """Stop all that still runs, the last one first, whatever becomes of one of them."""
        with ExitStack() as stack:
            for server in self._started:
                stack.callback(server.stop)

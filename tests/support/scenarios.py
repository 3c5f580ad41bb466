"""Recordings that nobody has made yet: what every release prints of every way in which a migration can end.

Each is written on one true timeline, in milliseconds since the request, and told by two processes whose clocks
started at different moments; so both logs are causally consistent by construction.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCENARIOS", "Attempt", "Scenario"]

_MS: Final = 10**6
_S: Final = 10**9
_LEVELS: Final = ("ERROR", "WARN", "INFO", "DEBUG", "TRACE")
_HEAD: Final = 54
_NEXT: Final = 55
"""After HEAD: ``migration-starting`` takes the old meaning of ``migration-started``, which now says: acknowledged."""
_VERSIONS: Final = {_HEAD: "v53.0-246-gae44c2971", _NEXT: "v53.0-312-g5d1f0c2ab"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What the trace of one attempt must say."""

    result: str = "success"
    error_type: str | None = None
    mode: str = "precopy"
    guest_location: str = "destination"
    guest_running: bool | None = True
    iterations: int | None = 2
    """Running iterations; None where only the source could say."""
    spans: frozenset[str] = frozenset()
    """Names that must be there."""
    absent: frozenset[str] = frozenset()
    """Names that must not."""
    downtime_ms: int | None = None
    """Whole milliseconds of the span ``downtime``; of a failed one, from ``pausing`` to the failure."""
    rollback_ms: int | None = None
    erroring: frozenset[str] = frozenset()
    """Exactly the names of the spans with an ERROR status."""
    describes: str | None = None
    """What the description of the root's ERROR contains."""
    convergence: str | None = None
    """Why iterating stopped, where the log says so."""
    clock_offset_s: float = -1.25
    """By how much the destination's clock is ahead of the source's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the processes wrote, and what that must become."""

    files: Mapping[str, bytes]
    attempts: tuple[Attempt, ...]
    """In order of time."""


# --- how a record is rendered -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    ns: int
    """Since the process began."""
    thread: str
    level: str
    location: str
    message: str


def _duration(ns: int) -> str:
    """The time since start as a Rust ``Duration`` with six decimals: v36.0-v48.0."""
    if ns >= _S:
        us = (ns + 500) // 1000
        return f"{us // _MS}.{us % _MS:06d}s"
    if ns >= _MS:
        return f"{ns // _MS}.{ns % _MS:06d}ms"
    return f"{ns // 1000}.{ns % 1000 * 1000:06d}µs"


def _adaptive(record: _Record) -> str:
    """The line of v36.0-v48.0."""
    head = f"cloud-hypervisor: {_duration(record.ns)}: <{record.thread}> {record.level}"
    return f"{head}:{record.location} -- {record.message}"


def _f32(record: _Record) -> str:
    """The default line from v49.0 on: a 32-bit float of seconds, padded to ten columns."""
    seconds: float = struct.unpack("<f", struct.pack("<f", record.ns / _S))[0]
    head = f"cloud-hypervisor: {seconds:>10.6f}s: <{record.thread}> {record.level}"
    return f"{head}:{record.location} -- {record.message}"


def _wall_time(ns: int, zone: timezone) -> str:
    began = datetime(2026, 5, 21, 6, 2, 10, 250_000, tzinfo=zone)
    return (began + timedelta(microseconds=ns // 1000)).isoformat(timespec="microseconds")


def _wallclock(record: _Record) -> str:
    """``--log-format '{wallclock} {pid}/{tid} <{thread}> {level} {location} -- {msg}'``."""
    wall = _wall_time(record.ns, UTC).replace("+00:00", "Z")
    return f"{wall} 4711/4719 <{record.thread}> {record.level} {record.location} -- {record.message}"


def _rfc9557(record: _Record) -> str:
    """The default line of the Cyberus fork: local time with its zone's name."""
    wall = _wall_time(record.ns, timezone(timedelta(hours=2))) + "[Europe/Berlin]"
    return f"cloud-hypervisor: {wall}: <{record.thread}> {record.level}:{record.location} -- {record.message}"


class _Log:
    """What one process writes: its log, and the event stream beside it."""

    def __init__(
        self,
        release: int,
        *,
        born_ms: float,
        verbosity: int = 1,
        form: Callable[[_Record], str] | None = None,
    ) -> None:
        self.release = release
        self.verbosity = verbosity
        self._born_ms = born_ms
        self._form = form or (_adaptive if release <= 48 else _f32)
        self._records: list[_Record] = []
        self._events: list[tuple[int, str, str, dict[str, str]]] = []
        self._trailer = b""
        main = "cloud-hypervisor/src/main.rs" if release >= 50 else "src/main.rs"
        if release >= 52:
            version = _VERSIONS.get(release, f"v{release}.0")
            self.at(born_ms + 4, "main", "INFO", f"{main}:586", f"{version} starting")
        self.event(born_ms + 9, "main", "starting", source="vmm")
        if release >= _NEXT:
            self.event(born_ms + 10, "main", "started", source="vmm")

    def at(self, ms: float, thread: str, level: str, location: str, message: str) -> None:
        """Log ``message`` at the true time ``ms``, if the process is verbose enough."""
        if _LEVELS.index(level) <= self.verbosity + 1:
            ns = round((ms - self._born_ms) * _MS)
            self._records.append(_Record(ns=ns, thread=thread, level=level, location=location, message=message))

    def event(self, ms: float, thread: str, name: str, *, source: str = "vm", **properties: str) -> None:
        """Fire an event: an object in the stream, and from v50.0 on a line in the log."""
        self._events.append((round((ms - self._born_ms - 3) * _MS) + 21_370, source, name, properties))
        if self.release >= 50:
            said = ", ".join(f"{key} = {value}" for key, value in properties.items())
            message = f"Event: source = {source} event = {name} {said}"
            self.at(ms, thread, "INFO", "event_monitor/src/lib.rs:113", message)

    def booted(self) -> None:
        """The guest starts here, long before the migration."""
        self.at(self._born_ms + 20, "vmm", "INFO", "vmm/src/vm.rs:514", _VM_CONFIG)
        self.event(self._born_ms + 21, "vmm", "booting")
        self.runs_vcpus(self._born_ms + 47)
        self.event(self._born_ms + 48, "vmm", "booted")

    def runs_vcpus(self, ms: float) -> None:
        """The kernel of the test hosts makes every vCPU complain."""
        if self.release >= 52:
            self.at(ms, "vcpu0", "WARN", "vmm/src/cpu.rs:260", _NO_SMT)

    def killed(self, ms: float) -> None:
        """Nothing of what the process would have written from ``ms`` on."""
        until = round((ms - self._born_ms) * _MS)
        self._records = [record for record in self._records if record.ns < until]
        self._events = [event for event in self._events if event[0] + 3 * _MS < until]

    def prints(self, text: str) -> None:
        """What goes to the same stream at the end without being a record."""
        self._trailer += text.encode()

    def log(self) -> bytes:
        """The log file."""
        records = sorted(self._records, key=lambda record: record.ns)
        return "".join(self._form(record) + "\r\n" for record in records).encode() + self._trailer

    def events(self) -> bytes:
        """The event monitor's file."""
        return b"".join(
            json.dumps(
                {
                    "timestamp": {"secs": ns // _S, "nanos": ns % _S},
                    "source": source,
                    "event": name,
                    "properties": properties or None,
                },
                indent=2,
            ).encode()
            + b"\n\n"
            for ns, source, name, properties in self._events
        )


_NO_SMT: Final = "Kernel lacks CONFIG_SCHED_CORE support - no SMT isolation"
_VM_CONFIG: Final = (
    "Booting VM from config: Mutex { data: VmConfig { cpus: CpusConfig { boot_vcpus: 2, max_vcpus: 2, topology: None, "
    "kvm_hyperv: false }, memory: MemoryConfig { size: 268435456, mergeable: false, shared: false }, "
    "payload: None }, poisoned: false, .. }"
)

# --- what a migration prints ------------------------------------------------------------------------------------

_LINES: Final = {
    36: (1796, 1480, 1743, 1786, 1823),
    37: (1806, 1485, 1753, 1796, 1833),
    38: (1971, 1842, 998, 1041, 1998),
    40: (2033, 1904, 1010, 1053, 2060),
    43: (2240, 2108, 1197, 1230, 2267),
    45: (2263, 2131, 1201, 1236, 2290),
    48: (2278, 2146, 1210, 1252, 2305),
    49: (2273, 2142, 1209, 1251, 2300),
    50: (2309, 2261, 1339, 1381, 2336),
    51: (2314, 2266, 1344, 1386, 2341),
    52: (2567, 2506, 1387, 1538, 2611),
    53: (3119, 3007, 1538, 1748, 2035),
    _HEAD: (3290, 3177, 1577, 1793, 2090),
    _NEXT: (3301, 3188, 1580, 1797, 2094),
}
"""Where in ``vmm/src/lib.rs``: sending, receiving, the end of a memory iteration, completed, failed."""
_PAUSE_AFTER_CONFIG: Final = -1104.0
"""A local and a postcopy migration pause at once; the marks below are those of a precopy migration."""
_NO_FINAL_DELTA: Final = -19.0
_TABLE: Final = (("1000", 2048), ("5f40000", 2048))
_CONNECTION_REFUSED: Final = "Error connecting to TCP socket: Connection refused (os error 111)"
_RESET_IN_TRANSFER: Final = (
    "Error transferring memory to socket: Guest memory error: Connection reset by peer (os error 104)"
)
_TIMEOUT: Final = "Precopy: Timeout reached: 1s: migration didn't converge in time"
_EOF_DEBUG: Final = 'MigrateSocket(Error { kind: UnexpectedEof, message: "failed to fill whole buffer" })'
_RESET_DEBUG: Final = 'MigrateSocket(Os { code: 104, kind: ConnectionReset, message: "Connection reset by peer" })'
_NOT_CLEANED: Final = (
    "ReceiveAdditionalConnections was not cleaned up! Either cleanup() was never called (programming error) or it "
    "failed before completing."
)
_INCOMPATIBLE: Final = (
    "Detected incompatible CPUID entry: leaf=0x07 (subleaf=0x00), register='EBX', {}='BitwiseSubset', "
    "source VM feature='0x219c07ab', destination VM feature'0x201c07ab'."
)


@dataclass(slots=True, kw_only=True)
class _Migration:
    """One attempt as both processes tell it; the methods are its phases, in order.

    A precopy migration is requested at 0, copies memory from 10 on, is acknowledged at 1010.2 and 1112.2, pauses
    the guest at 1116.5, has sent the rest at 1140.2, the state at 1162, and is complete at 1220.2 milliseconds.
    """

    source: _Log
    destination: _Log
    start_ms: float = 2_000.0
    url: str = "tcp:192.0.2.20:4444"
    receiver_url: str = "tcp:0.0.0.0:4444"
    mode: str = "precopy"
    connections: int = 1
    tls: bool = False
    target_ms: int = 300
    timeout_s: int = 3600
    strategy: str = "Cancel"
    paused_before: bool = False
    preserve_source: bool = False
    drafts: bool = False
    """Whether the build words the end as the pull request's description did that brought it."""
    shift_ms: float = field(default=0.0, init=False)
    """How much earlier than in a precopy migration things happen from here on."""

    @property
    def release(self) -> int:
        """The release that both processes run."""
        return self.source.release

    @property
    def local(self) -> bool:
        """Whether the memory is handed over instead of copied."""
        return self.mode == "local"

    @property
    def _worker(self) -> str:
        return "migration-worker" if self.release >= 53 else "vmm"

    @property
    def _transport(self) -> str:
        if self.release >= 52:
            return "vmm/src/migration/transport.rs" if self.release >= 53 else "vmm/src/migration_transport.rs"
        return "vmm/src/lib.rs"

    def _line(self, which: int) -> str:
        return f"vmm/src/lib.rs:{_LINES[self.release][which]}"

    def _s(self, ms: float, level: str, location: str, message: str, thread: str | None = None) -> None:
        self.source.at(self.start_ms + self.shift_ms + ms, thread or self._worker, level, location, message)

    def _d(self, ms: float, level: str, location: str, message: str, thread: str = "vmm") -> None:
        self.destination.at(self.start_ms + self.shift_ms + ms, thread, level, location, message)

    def _s_event(self, ms: float, name: str, thread: str | None = None, **properties: str) -> None:
        self.source.event(self.start_ms + self.shift_ms + ms, thread or self._worker, name, **properties)

    def _d_event(self, ms: float, name: str) -> None:
        self.destination.event(self.start_ms + self.shift_ms + ms, "vmm", name)

    def _command(self, ms: float, name: str) -> None:
        """The destination has read the header of a request."""
        if self.release <= 49:
            self._d(ms, "INFO", "vmm/src/lib.rs:2147", f"{name} Command Received")
        elif self.release <= 52:
            self._d(ms, "TRACE", "vmm/src/lib.rs:2276", f"Command {name} received")
        else:
            self._d(ms, "DEBUG", "vmm/src/lib.rs:3040", f"Command '{name}' received")

    def _cpuid(self, say: Callable[[float, str, str, str], None], ms: float) -> None:
        word = "with" if self.release >= 53 else "for with"
        say(ms, "INFO", "arch/src/x86_64/mod.rs:619", f"Generating guest CPUID {word} physical address size: 46")

    def _table(self, ms: float, ranges: tuple[tuple[str, int], ...] = _TABLE) -> None:
        """The source has read the dirty log."""
        level, file = ("INFO" if self.release <= 51 else "DEBUG"), "vmm/src/memory_manager.rs"
        if not ranges:
            self._s(ms, level, f"{file}:2786", "Dirty Memory Range Table is empty")
            return
        self._s(ms, level, f"{file}:2788", "Dirty Memory Range Table:")
        for number, (address, kib) in enumerate(ranges, 1):
            self._s(ms + number * 0.006, level, f"{file}:2790", f"GPA: {address} size: {kib} (KiB)")

    def _http(self, process: _Log, ms: float, chain: str) -> None:
        """An API call is answered with an error."""
        if self.release >= 52:
            at = self.start_ms + self.shift_ms + ms
            message = f"HTTP API error response: Error from API: {chain}"
            process.at(at, "http-server", "INFO", "vmm/src/api/http/mod.rs:93", message)

    def _tail_of_request(self) -> str:
        mode = "Postcopy" if self.mode == "postcopy" else "Precopy"
        tls = 'Some("/etc/ch/tls")' if self.tls else "None"
        return f", tls_dir: {tls}, memory_mode: {mode}"

    def requested(self) -> None:
        """Both API calls arrive; the destination listens."""
        release, local = self.release, str(self.local).lower()
        send = f'VmSendMigrationData {{ destination_url: "{self.url}", local: {local}'
        receive = f'VmReceiveMigrationData {{ receiver_url: "{self.receiver_url}"'
        if release >= 52:
            preserve = f", preserve_source: {str(self.preserve_source).lower()}" if release >= _HEAD else ""
            send += f"{preserve}, downtime_ms: {self.target_ms}, timeout_s: {self.timeout_s}, "
            send += f"timeout_strategy: {self.strategy}, connections: {self.connections}"
        if release >= 53:
            send += self._tail_of_request()
            receive += self._tail_of_request()
        if release >= _HEAD:
            receive += ", vfio_fds: None, iommufd_fd: None, zone_updates: []"
        send, receive = f"VmSendMigration({send} }}", f"VmReceiveMigration({receive} }}"
        send, receive = (
            (f"{send}, Sender {{ .. }})", f"{receive}, Sender {{ .. }})")
            if release <= 37
            else (send.replace("(Vm", " Vm", 1), receive.replace("(Vm", " Vm", 1))
        )
        self._d(-400, "INFO", "vmm/src/api/mod.rs:1044", f"API request event: {receive}")
        tls = str(self.tls).lower()
        if release <= 52:
            self._d(-399.5, "INFO", self._line(1), f"Receiving migration: receiver_url = {self.receiver_url}")
        else:
            zones = ",zone_updates=[]" if release >= _HEAD else ""
            message = f"Receiving migration: receiver_url={self.receiver_url},tls={tls}{zones}"
            self._d(-399.5, "INFO", self._line(1), message)
            self._d_event(-398, "migration-receive-ready")
        self._s(0, "INFO", "vmm/src/api/mod.rs:1262", f"API request event: {send}", "vmm")
        message = f"Sending migration: destination_url = {self.url}, local = {local}"
        if release >= 52:
            message = f"Sending migration: destination_url={self.url},local={local}"
            message += f",tls={tls}" if release >= 53 else ""
            message += f",downtime={self.target_ms}ms,timeout={self.timeout_s}s,timeout_strategy={self.strategy}"
        self._s(0.5, "INFO", self._line(0), message, "vmm")
        if release >= 52:
            self._s_event(1, "migration-starting" if release >= _NEXT else "migration-started")
        self._connecting(1.2)

    def _connecting(self, ms: float) -> None:
        if self.release < 43:
            return
        scheme, _, rest = self.url.partition(":")
        target = f"TCP socket at {rest}" if scheme == "tcp" else f'UNIX socket at "{rest}"'
        self._s(ms, "INFO", f"{self._transport}:1037", f"Connecting to {target}")

    def connected(self) -> None:
        """The destination accepts and acknowledges Start."""
        if self.tls:
            self._d(2, "INFO", f"{self._transport}:75", "TLS handshake (server-side/receiver) successful")
            self._s(2.1, "INFO", f"{self._transport}:1053", "TLS handshake (client-side/sender) successful")
        if self.release >= 52:
            self._d_event(2.2, "migration-receive-starting" if self.release >= _NEXT else "migration-receive-started")
        self._command(2.4, "Start")
        if self.release >= 53:
            self._d(2.5, "DEBUG", "vmm/src/lib.rs:1015", "Using migration protocol 0")
        if self.release >= _NEXT:
            self._d_event(2.6, "migration-receive-started")
            self._s_event(3, "migration-started")
        if self.release >= 53:
            self._s(3.1, "DEBUG", "vmm/src/lib.rs:1572", "Using migration protocol 0")
        self._cpuid(self._s, 3.2)
        if self.local:
            self._command(3.6, "MemoryFd")
        self._command(4, "Config")
        self._cpuid(self._d, 5)

    def configured(self) -> None:
        """The destination has taken the configuration; further connections are opened."""
        self._d(6, "INFO", "arch/src/x86_64/mod.rs:591", "No CPU incompatibility detected.")
        mapped = "RAM region mapping" if self.release >= 51 else "Anonymous mapping"
        self._d(7, "INFO", "vmm/src/memory_manager.rs:2016", f"{mapped} at 0x7f3a40000000 (size = 0x10000000)")
        if self.connections == 1:
            return
        for number in range(self.connections):
            self._connecting(9 + number * 0.2)
            if self.release == 52:
                message, thread = "Spawned thread to send VM memory.", f"migrate-send-memory-{number}"
                self._s(9.1 + number * 0.2, "INFO", f"{self._transport}:588", message, thread)

    def _pass(self, ms: float, index: int, context: str) -> None:
        """A running iteration has been acknowledged."""
        if self.release <= 51:
            self._s(ms, "INFO", self._line(2), f"Dirty memory migration {index} of 5")
            return
        self._s(ms, "DEBUG", "vmm/src/lib.rs:1233", f"Precopy: {context}")
        self._s_event(ms + 0.1, "migration-memory-iteration", id=str(index))

    def _memory(self, ms: float) -> None:
        if self.connections == 1:
            self._command(ms, "Memory")

    def first_iteration(self) -> None:
        """All memory has been sent once, and acknowledged."""
        self._memory(11)
        context = (
            "iter=0 curr=256MiB total=256MiB bw=256.10MiB/s transfer=1.00s overhead=0ms est_downtime=0ms "
            "elapsed=1.00s avg_bw=256.10MiB/s"
        )
        self._pass(1010.2, 0, context)

    def second_iteration_begun(self) -> None:
        """What the guest wrote meanwhile is on its way."""
        self._table(1012, (("1000", 2048), ("5f40000", 24576)))
        self._memory(1013.5)

    def second_iteration(self) -> None:
        """It has been acknowledged too, and the dirty log read again."""
        self.second_iteration_begun()
        context = (
            "iter=1 curr=26MiB total=282MiB bw=262.62MiB/s transfer=0.10s overhead=1ms est_downtime=101ms "
            "elapsed=1.10s avg_bw=256.13MiB/s"
        )
        self._pass(1112.2, 1, context)
        self._table(1114, () if self.release <= 51 else _TABLE)

    def converged(self) -> None:
        """The source decides to stop the guest."""
        if self.release <= 51:
            return
        level, message = "DEBUG", f"Precopy: Target downtime can be met: 15ms <= {self.target_ms}ms"
        if self.strategy == "Ignore":
            level = "INFO"
            message = (
                f"Precopy: Pausing VM, ignoring target downtime ({self.target_ms}ms) due to timeout "
                f"({self.timeout_s}s): Estimated downtime: 15ms"
            )
        self._s(1115, level, "vmm/src/lib.rs:1302", message)
        context = (
            "iter=2 curr=4MiB total=282MiB bw=262.62MiB/s transfer=0.10s overhead=1ms est_downtime=15ms "
            "elapsed=1.10s avg_bw=255.22MiB/s"
        )
        self._s(1115.2, "DEBUG", "vmm/src/lib.rs:1222", f"Precopy converged: {context}")

    def converged_while_paused(self) -> None:
        """A guest that stands still already has written nothing: one iteration is all."""
        self._table(1012, ())
        self._s(1012.5, "DEBUG", "vmm/src/lib.rs:1283", "Precopy: No more memory to transfer")
        context = "total=256MiB bw={} transfer={} overhead=0ms est_downtime=0ms elapsed=1.00s avg_bw=255.49MiB/s"
        pending = context.format("256.10MiB/s", "1.00s")
        self._s(1012.7, "DEBUG", "vmm/src/lib.rs:1222", f"Precopy converged: iter=1 curr=0MiB {pending}")
        self._table(1013.5, ())
        sent = context.format("0.00MiB/s", "0.00s")
        self._s(1013.9, "INFO", self._line(2), f"Precopy complete: iter=2 curr=0MiB {sent}")
        self.shift_ms = 1014.2 - 1141.9

    def paused(self) -> None:
        """The migration stops the guest."""
        if self.mode != "precopy":
            self.shift_ms = _PAUSE_AFTER_CONFIG
        self._s_event(1116.5, "pausing")
        self._s(1118, "INFO", "virtio-devices/src/device.rs:313", "Pausing virtio-block")
        self._s(1119, "INFO", "virtio-devices/src/device.rs:313", "Pausing virtio-net")
        level = "INFO" if self.release <= 52 else "DEBUG"
        message, location = "PAUSE_EVENT received, pausing epoll loop", "virtio-devices/src/epoll_helper.rs:221"
        self._s(1118.1, level, location, message, "_disk0_q0")
        self._s_event(1120, "paused")
        if self.mode != "precopy":
            self.shift_ms += _NO_FINAL_DELTA
        if self.mode == "postcopy":
            self._connecting(1140)
            message = "Postcopy: source entering PageFault serve loop"
            self._s(1143, "INFO", "vmm/src/lib.rs:1797", message, "migrate-send-postcopy")

    def final_delta(self) -> None:
        """What was still dirty has been sent."""
        self._table(1121)
        self._memory(1122.5)
        if self.release >= 52:
            context = (
                "iter=3 curr=4MiB total=286MiB bw=230.12MiB/s transfer=0.02s overhead=1ms est_downtime=15ms "
                "elapsed=1.13s avg_bw=253.10MiB/s"
            )
            self._s(1140.2, "INFO", self._line(2), f"Precopy complete: {context}")

    def snapshot(self) -> None:
        """The state has been taken."""
        self._s_event(1142, "snapshotting")
        self._cpuid(self._s, 1142.6)
        self._s_event(1160, "snapshotted")
        if self.release >= 53 and self.mode == "precopy":
            self._table(1161, ())

    def state_received(self) -> None:
        """The destination builds a VM from the state."""
        self._command(1164, "State")
        if self.mode == "postcopy":
            file = "vmm/src/memory_manager.rs"
            self._d(1164.1, "INFO", f"{file}:994", "UFFD: registering 1 region(s) for demand paging")
            self._d(1164.2, "INFO", f"{file}:1063", "UFFD: spawning handler for 1 region(s)")
        if self.release >= 52:
            message = "Stopped accepting additional connections. Cleaning up threads."
            level, thread = ("INFO" if self.release == 52 else "DEBUG"), "migrate-receive-accept-connections"
            self._d(1164.4, level, f"{self._transport}:387", message, thread)
        self._d(1168, "INFO", "vmm/src/vm.rs:514", _VM_CONFIG)
        self._cpuid(self._d, 1169)
        message = "Request to create new vCPUs: desired = 2, max = 2, allocated = 0, present = 0"
        self._d(1172, "INFO", "vmm/src/cpu.rs:937", message)
        self._d_event(1185, "restoring")

    def restored(self) -> None:
        """The VM is there, not yet running."""
        self._d(
            1187,
            "INFO",
            "vmm/src/cpu.rs:1267",
            "Starting vCPUs: desired = 2, allocated = 2, present = 0, paused = true",
        )
        self.destination.runs_vcpus(self.start_ms + self.shift_ms + 1188)
        self._d_event(1210, "restored")
        if self.release >= 52:
            message = "Migration (incoming): recv_snapshot:3ms restore:42ms"
            self._d(1210.4, "DEBUG", "vmm/src/lib.rs:975", message)

    def resumed(self) -> None:
        """The destination runs the guest, or holds it if it was paused, and acknowledges."""
        self._command(1213, "CompletePaused" if self.paused_before else "Complete")
        if self.paused_before:
            message = "Migration (incoming): Receiving final state of a paused VM"
            self._d(1213.4, "DEBUG", "vmm/src/lib.rs:1060", message)
        else:
            self._d_event(1213.4, "resuming")
            self._d(1215, "INFO", "virtio-devices/src/device.rs:335", "Resuming virtio-block")
            self._d(1216, "INFO", "virtio-devices/src/device.rs:335", "Resuming virtio-net")
            self._d_event(1218, "resumed")
            if self.release >= 52:
                self._d(1218.2, "DEBUG", "vmm/src/lib.rs:998", "Migration (incoming): resume:4ms")
                message = "Migration (incoming): Receiving final state and resuming the VM took 54ms"
                self._d(1218.4, "DEBUG", "vmm/src/lib.rs:1008", message)
        if self.drafts:
            self._d(1210.4, "INFO", "vmm/src/lib.rs:975", "Migration (incoming): receiving state took 46ms")
            self._d(1218.2, "INFO", "vmm/src/lib.rs:998", "Migration (incoming): resuming took 4ms")
        if self.release >= 52:
            self._d_event(1222, "migration-receive-finished")

    def completed(self) -> None:
        """The source knows that it is over."""
        final = 19 if self.mode == "precopy" and not self.paused_before else 0
        downtime = 103 if final else 79 if self.paused_before else 84
        if self.drafts:
            message = "final_memory_delta=19ms snapshot=19ms sending_snapshot=49ms completing=8ms"
            self._s(1220.2, "INFO", "vmm/src/lib.rs:1538", f"Migration downtime breakdown: {message}")
            message = "Migration complete: actual downtime was 103ms and migration took 1.22s"
            self._s(1220.3, "INFO", "vmm/src/lib.rs:1544", message)
        elif self.release <= 51:
            late = 0.7 if self.release >= 45 and not self.local else 0  # stop_dirty_log comes first
            self._s(1220.2 + late, "INFO", self._line(3), "Migration complete")
        else:
            total = (1219.1 + self.shift_ms) / 1000
            message = f"Migration completed after {total:.1f}s with a downtime of {downtime}ms"
            self._s(1220.2, "INFO", self._line(3), f"{message} (goal was {self.target_ms}ms)")
            parts = f"final_iter:{final}ms state:19ms send_state:49ms complete:8ms"
            self._s(1220.3, "DEBUG", "vmm/src/lib.rs:1544", f"Downtime breakdown: {downtime}ms ({parts})")

    def drained(self) -> None:
        """The destination has fetched the last page; it all ends."""
        message = "UFFD handler: prefault done in 1.834s \N{EM DASH} prefaulted=65530 served=6 total=65536"
        self._d(2998.5, "INFO", "vmm/src/memory_manager.rs:1340", message, "uffd-handler")
        message = "Postcopy: destination closed the fault connection \N{EM DASH} drain complete"
        self._s(3000, "INFO", "vmm/src/lib.rs:1808", message, "migrate-send-postcopy")
        self._s_event(3000.2, "postcopy-migration-completed")

    def abandoned(self, ms: float) -> None:
        """The destination says that it fetches no more pages."""
        message = "Postcopy: received Abandon, exiting serve loop"
        self._s(ms, "INFO", "vmm/src/lib.rs:1840", message, "migrate-send-postcopy")
        self._s_event(ms + 0.2, "postcopy-migration-completed")

    def finished(self, ms: float = 1224) -> None:
        """The source lets go of the VM and exits."""
        if self.release >= 52:
            self._s_event(ms, "migration-finished")
        if self.release >= 53:
            self._s(ms + 0.5, "INFO", "vmm/src/lib.rs:2166", "VM check migration event", "vmm")
        if self.preserve_source:
            return
        self._s(ms + 1, "INFO", "vmm/src/lib.rs:1390", "VM exit event", "vmm")
        self._s(ms + 2, "INFO", "virtio-devices/src/device.rs:335", "Resuming virtio-block", "vmm")
        if self.release <= 52:
            self._s_event(ms + 20, "shutdown", "vmm")
        self._s_event(ms + 22, "deleted", "vmm")
        self.source.event(self.start_ms + self.shift_ms + ms + 23, "vmm", "shutdown", source="vmm")
        if self.release >= 49:
            message = "Cloud Hypervisor exited successfully"
            self._s(ms + 40, "INFO", "cloud-hypervisor/src/main.rs:891", message, "main")

    # --- how it can break

    def failed(self, ms: float, text: str, *, reported: bool = False, resumes: bool = False) -> None:
        """The source gives up at ``ms``; ``text`` is the error as this release words it."""
        if self.release <= 52:
            self._s(ms, "ERROR", self._line(4), f"Migration failed: {text}")
            if self.release == 52:
                self._s_event(ms + 0.4, "migration-failed")
                inner = text.removeprefix("MigrateSend(").removesuffix(")")
                inner = inner.replace("\n\nCaused by:\n    0", "").replace("\n    1", "")
                cause = f"Failed to send migratable component snapshot: {inner}" if inner != text else "Socket error"
                self._http(self.source, ms + 6, f"Error starting migration sender: {cause}")
        else:
            if reported:
                message = "Receiver reported error: aborting migration"
                self._s(ms, "ERROR", "vm-migration/src/protocol.rs:375", message)
            self._s_event(ms + (0.3 if reported else 0), "migration-failed")
            self._s(ms + 0.6, "INFO", "vmm/src/lib.rs:2166", "VM check migration event", "vmm")
            self._s(ms + 1, "ERROR", self._line(4), f"Migration failed: {text}", "vmm")
        if resumes:
            self._resumed_after_failure(ms + 1.2)

    def _resumed_after_failure(self, ms: float) -> None:
        self._s_event(ms, "resuming", "vmm")
        self._s(ms + 2, "INFO", "virtio-devices/src/device.rs:335", "Resuming virtio-block", "vmm")
        self._s(ms + 3, "INFO", "virtio-devices/src/device.rs:335", "Resuming virtio-net", "vmm")
        self._s_event(ms + 3.3, "resumed", "vmm")
        if self.release >= 53:
            message = "Resumed VM successfully after failed migration"
            self._s(ms + 3.4, "INFO", "vmm/src/lib.rs:2002", message, "vmm")

    def resume_fails(self, ms: float) -> None:
        """The way back from a failure fails too: the guest stays where it is, and stands still."""
        self._s_event(ms, "resuming", "vmm")
        message = "Failed resuming VM after failed migration: Cannot resume VM: Failed to resume vCPUs"
        self._s(ms + 2, "ERROR", "vmm/src/lib.rs:2007", message, "vmm")

    def rejected(self, ms: float, command: str, text: str, *, announced: bool = True) -> None:
        """The destination answers ``command`` with an error (v50.0 on says so)."""
        if self.release >= 50:
            message = f"Migration aborted as migration command {command} failed: {text}"
            self._d(ms, "WARN", "vmm/src/lib.rs:3054", message)
        if self.release >= 52 and announced:
            self._d_event(ms + 0.3, "migration-receive-failed")
        if self.release >= 53:
            self._http(self.destination, ms + 4, "Error receiving migration: Migration was aborted")

    def incompatible(self) -> None:
        """The destination's CPU lacks something that the guest was promised."""
        word = "compatilbe_check" if self.release == 36 else "compatible_check"
        self._d(6, "ERROR", "arch/src/x86_64/mod.rs:580", _INCOMPATIBLE.format(word))

    def lost(self, ms: float) -> None:
        """The destination reads the end of the connection."""
        if self.release >= 53:
            message = "Failed to read migration request: sender likely failed, aborting"
            self._d(ms, "ERROR", "vmm/src/lib.rs:3037", message)
        if self.release >= 52:
            self._d(ms + 0.4, "WARN", f"{self._transport}:609", _NOT_CLEANED)
            word = "Error receiving migration" if self.release >= 53 else "Error starting migration receiver"
            self._http(self.destination, ms + 5, f"{word}: Socket error: failed to fill whole buffer")

    def prefault_lost(self, ms: float) -> None:
        """The destination cannot fetch pages any more."""
        file = "vmm/src/memory_manager.rs"
        message = "UFFD prefault: source error at 0x7f3a4405c000: Socket error"
        self._d(ms, "WARN", f"{file}:1378", message, "uffd-handler")
        message = "UFFD prefault: abandoning background prefault after error"
        self._d(ms + 0.4, "WARN", f"{file}:1386", message, "uffd-handler")

    # --- as far as several phases

    def until_config(self) -> None:
        """Up to the first memory."""
        self.requested()
        self.connected()
        self.configured()

    def until_paused(self) -> None:
        """Up to the guest's stop."""
        self.until_config()
        if self.mode == "precopy":
            self.first_iteration()
            self.second_iteration()
            self.converged()
        self.paused()

    def until_snapshot(self) -> None:
        """Up to the state."""
        self.until_paused()
        if self.mode == "precopy":
            self.final_delta()
        self.snapshot()

    def until_completed(self) -> None:
        """Up to the source's last word on the downtime."""
        if self.paused_before:
            self.until_config()
            self.first_iteration()
            self.converged_while_paused()
            self.snapshot()
        else:
            self.until_snapshot()
        self.state_received()
        self.restored()
        self.resumed()
        self.completed()

    def succeeds(self) -> None:
        """All of it."""
        self.until_completed()
        if self.mode == "postcopy":
            self.drained()
            self.finished(3001)
        else:
            self.finished()


# --- the Cyberus fork -------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _ForkMigration:
    """One attempt between two processes of the fork: upstream's protocol of v50.0, the fork's words and clock."""

    source: _Log
    destination: _Log
    start_ms: float = 2_000.0

    def _s(self, ms: float, message: str, *, level: str = "INFO", thread: str = "migration-worker") -> None:
        self.source.at(self.start_ms + ms, thread, level, "vmm/src/lib.rs:1402", message)

    def _d(self, ms: float, message: str, *, level: str = "INFO") -> None:
        self.destination.at(self.start_ms + ms, "vmm", level, "vmm/src/lib.rs:2266", message)

    def _s_event(self, ms: float, name: str) -> None:
        self.source.event(self.start_ms + ms, "migration-worker", name)

    def _d_event(self, ms: float, name: str) -> None:
        self.destination.event(self.start_ms + ms, "vmm", name)

    def begins(self) -> None:
        """Up to the first memory."""
        url = 'destination_url: "tcp:192.0.2.20:4444", local: false'
        self._d(-400, "Receiving migration: receiver_url = tcp:0.0.0.0:4444, net_fds=None, tcp_url=None, zones=None")
        self._d(-399, "Waiting for incoming migration (timeout 60s) ...")
        self._s(0, f"API request event: VmSendMigration VmSendMigrationData {{ {url} }}", thread="vmm")
        self._s(0.5, "Sending migration: destination_url = tcp:192.0.2.20:4444, local = false", thread="vmm")
        self._s_event(1, "migration-started")
        self._s(1.2, "Connecting to TCP socket at 192.0.2.20:4444")
        self._d_event(2.2, "migration-receive-started")
        self._s(3.2, "Generating guest CPUID for with physical address size: 46")
        self._d(5, "Generating guest CPUID for with physical address size: 46")
        self._d(6, "No CPU incompatibility detected.")
        self._d(7, "RAM region mapping at 0x7f3a40000000 (size = 0x10000000)")

    def copies(self) -> None:
        """Two running iterations."""
        iteration = "iter={},dur={}ms,overhead=0ms,throttle=0%,size={}MiB,dirtyrate={}pps,bandwidth={}MiBs,"
        first = iteration.format(0, 1000, 256, 0, "256.10") + "downtime(expected)=0ms"
        second = iteration.format(1, 101, 26, 6656, "262.62") + "downtime(expected)=15ms"
        self._s(1010.2, first)
        self._s(1112.2, second)

    def stops_the_guest(self) -> None:
        """The downtime up to the state."""
        self._s(1115, "Memory delta transmission stopping - cutoff condition reached!")
        self._s(1115.4, "Entering downtime phase")
        self._s(1115.6, "stopping vcpu throttling thread")
        self._s(1116, "stopped vcpu throttling thread")
        self._s(1116.4, "pausing VM")
        self._s_event(1116.5, "pausing")
        self._s(1118, "Pausing virtio-block")
        self._s_event(1120, "paused")
        self._s(1120.3, "paused VM")
        self._s(
            1140.2,
            "Memory Migration finished: iter=2(actually overhead ms),throttle=0%,size=4MiB,dirtyrate=0pps,"
            "bandwidth=230.12MiBs,downtime(expected)=15ms",
        )
        self._s_event(1142, "snapshotting")
        self._s(1142.6, "Generating guest CPUID for with physical address size: 46")
        self._s_event(1160, "snapshotted")
        self._d(1168, _VM_CONFIG)
        self._d(1169, "Generating guest CPUID for with physical address size: 46")
        self._d_event(1185, "restoring")

    def completes(self) -> None:
        """The guest runs on the destination."""
        self._d_event(1210, "restored")
        self._d_event(1213.4, "resuming")
        self._d(1215, "Resuming virtio-block")
        self._d_event(1218, "resumed")
        self._d_event(1222, "migration-receive-finished")
        self._s(1220.2, "Migration complete: downtime:103ms,total:1s,iterations:3")
        self._s_event(1224, "migration-finished")
        self._s(1224.5, "VM migration check event", thread="vmm")
        self._s(1225, "VM exit event", thread="vmm")

    def cancelled(self) -> None:
        """The operator takes it back while memory is copied."""
        self._s(1114, "Will cancel ongoing live-migration", thread="vmm")
        self._s(1114.6, "Cancelling migration now")
        self._s(1115, "Migration cancelled", level="ERROR", thread="vmm")
        self._s_event(1115.2, "migration-cancelled")

    def fails(self, ms: float, *causes: str) -> None:
        """The source gives up: one record of several lines."""
        chain = "".join(f"\n  {number}: {cause}" for number, cause in enumerate(causes))
        self._s_event(ms, "migration-failed")
        self._s(ms + 0.4, "VM migration check event", thread="vmm")
        message = f"Migration failed with the following chain of errors:{chain}"
        self._s(ms + 0.8, message, level="ERROR", thread="vmm")

    def timed_out(self) -> None:
        """The guest writes faster than the source can send."""
        self._s(1114, "Migration timed out after 1s", level="WARN")
        self.fails(1115, "Failed to send migratable component snapshot", "Migration timed out after 1s")


# --- the scenarios ----------------------------------------------------------------------------------------------

_STOP: Final = frozenset({"downtime", "pause", "snapshot", "send", "complete"})
_MEMORY: Final = frozenset({"precopy", "memory iteration"})
_COPIED: Final = _MEMORY | {"final delta"}
_DONE: Final = frozenset({"setup", "receive", "restore", "resume", "blackout"}) | _STOP
_ALL: Final = _DONE | _COPIED
_OF_COMMANDS: Final = _COPIED | _STOP | {"setup", "receive"}
"""What a release without ``Event:`` lines tells of."""
_NO_STOP: Final = frozenset({"downtime", "blackout", "rollback", "resume"})
_NO_MEMORY: Final = _NO_STOP | _MEMORY

_SUCCESS: Final = Attempt(spans=_ALL | {"cleanup"}, absent=frozenset({"rollback"}), downtime_ms=103)
_IN_DETAIL: Final = replace(_SUCCESS, spans=_SUCCESS.spans | {"receive memory"})
_INFERRED: Final = Attempt(spans=_ALL, absent=frozenset({"cleanup", "rollback"}), downtime_ms=104)
_BY_COMMANDS: Final = replace(_INFERRED, spans=_OF_COMMANDS | {"receive memory"}, downtime_ms=102)
_LOCAL: Final = Attempt(
    mode="local", iterations=0, spans=_DONE | {"cleanup"}, absent=_COPIED | {"rollback"}, downtime_ms=84
)
_LOCAL_BY_COMMANDS: Final = replace(_LOCAL, spans=_STOP | {"setup", "receive"}, downtime_ms=83)
_OF_PAUSED_GUEST: Final = Attempt(
    guest_running=False,
    iterations=1,
    spans=_MEMORY | {"setup", "downtime", "receive", "cleanup"},
    absent=frozenset({"pause", "blackout", "rollback"}),
    downtime_ms=79,
)
_POSTCOPY: Final = Attempt(
    mode="postcopy",
    iterations=0,
    spans=_DONE | {"postcopy", "prefault", "cleanup"},
    absent=_COPIED | {"rollback"},
    downtime_ms=84,
)
_BACK_AT_SOURCE: Final = Attempt(result="failure", guest_location="source", absent=_NO_STOP)
"""A failure before the downtime."""
_IN_SETUP: Final = replace(
    _BACK_AT_SOURCE,
    iterations=0,
    spans=frozenset({"setup"}),
    absent=_NO_MEMORY | {"receive"},
    erroring=frozenset({"migration", "setup"}),
)
_REFUSED: Final = replace(_IN_SETUP, error_type="connection_failed", describes="Connection refused")
_CONFIG_REJECTED: Final = replace(
    _IN_SETUP,
    error_type="config_rejected",
    spans=frozenset({"setup", "receive"}),
    absent=_NO_MEMORY,
    erroring=frozenset({"migration", "setup", "receive"}),
)
_IN_PRECOPY: Final = replace(
    _BACK_AT_SOURCE, spans=_MEMORY | {"setup", "receive"}, erroring=frozenset({"migration", "precopy"})
)
_IN_FIRST_ITERATION: Final = replace(
    _IN_PRECOPY, iterations=0, error_type="socket_error", erroring=_MEMORY | {"migration"}
)
_ROLLED_BACK: Final = replace(
    _BACK_AT_SOURCE,
    spans=_COPIED | {"setup", "downtime", "pause", "snapshot", "send", "rollback", "receive"},
    absent=frozenset({"complete", "resume", "cleanup"}),
    downtime_ms=74,
    rollback_ms=4,
    erroring=frozenset({"migration", "downtime", "send"}),
)
_STATE_REJECTED: Final = replace(
    _ROLLED_BACK, error_type="restore_failed", erroring=_ROLLED_BACK.erroring | {"receive", "restore"}
)
_VANISHED: Final = Attempt(
    result="unknown", error_type="peer_aborted", guest_location="unknown", guest_running=None, iterations=1
)


class _Options(TypedDict, total=False):
    """What a caller may ask of a migration, and what came before."""

    start_ms: float
    url: str
    receiver_url: str
    mode: str
    connections: int
    tls: bool
    target_ms: int
    timeout_s: int
    strategy: str
    paused_before: bool
    preserve_source: bool
    drafts: bool


def _pair(
    release: int,
    verbosity: int = 1,
    *,
    form: Callable[[_Record], str] | None = None,
    source_born_ms: float = 0.0,
    **options: Unpack[_Options],
) -> _Migration:
    """A source with a running guest, a destination born later, and a migration between them."""
    source = _Log(release, born_ms=source_born_ms, verbosity=verbosity, form=form)
    source.booted()
    destination = _Log(release, born_ms=1_250, verbosity=verbosity, form=form)
    return _Migration(source=source, destination=destination, **options)


def _tunnel(release: int) -> _Migration:
    """A pair whose UNIX sockets something carries from host to host."""
    return _pair(release, url="unix:/run/ch/out.sock", receiver_url="unix:/run/ch/in.sock")


def _handover(release: int, verbosity: int = 1, **options: Unpack[_Options]) -> _Migration:
    """A pair on one host that shares the guest's memory."""
    socket: _Options = {"url": "unix:/run/ch/m.sock", "receiver_url": "unix:/run/ch/m.sock", "mode": "local"}
    socket.update(options)
    return _pair(release, verbosity, **socket)


def _postcopy(release: int = 53, verbosity: int = 2) -> _Migration:
    """A pair whose guest runs before its memory is there."""
    return _pair(release, verbosity, mode="postcopy")


def _told(migration: _Migration | _ForkMigration, *attempts: Attempt, events: bool = False) -> Scenario:
    """What both processes wrote."""
    files = {"source.log": migration.source.log(), "destination.log": migration.destination.log()}
    if events:
        files |= {
            "source.events.json": migration.source.events(),
            "destination.events.json": migration.destination.events(),
        }
    return Scenario(files=files, attempts=attempts)


def _succeeding(migration: _Migration, *attempts: Attempt, events: bool = False) -> Scenario:
    """A migration that succeeds."""
    migration.succeeds()
    return _told(migration, *attempts, events=events)


def _successes() -> dict[str, Scenario]:
    ignoring: _Options = {"strategy": "Ignore", "target_ms": 1, "timeout_s": 1}
    ignored = replace(_SUCCESS, convergence="timeout_ignored")
    met = replace(_SUCCESS, convergence="downtime_target_met")
    fitted = replace(_BY_COMMANDS, spans=_ALL, downtime_ms=None)  # the stream's zero is known to milliseconds only
    old = _pair(53, 2, source_born_ms=-259_200_000)  # its stamps are too coarse to say when the pause was over
    packed = replace(_IN_DETAIL, spans=_IN_DETAIL.spans - {"pause"}, clock_offset_s=-259_201.25)
    return {
        "v36.0-tunnel": _succeeding(_tunnel(36), _BY_COMMANDS),
        "v36.0-tunnel-events": _succeeding(_tunnel(36), fitted, events=True),
        "v38.0-tunnel": _succeeding(_tunnel(38), _BY_COMMANDS),
        "v43.0-tcp": _succeeding(_pair(43), _BY_COMMANDS),
        "v45.0-tcp": _succeeding(_pair(45), _BY_COMMANDS),
        "v45.0-tcp-events": _succeeding(_pair(45), fitted, events=True),
        "v48.0-tcp": _succeeding(_pair(48), _BY_COMMANDS),
        "v49.0-tcp": _succeeding(_pair(49), _BY_COMMANDS),
        "v50.0-tcp": _succeeding(_pair(50), _INFERRED),
        "v51.0-tcp-trace": _succeeding(_pair(51, 3), replace(_INFERRED, spans=_ALL | {"receive memory"})),
        "v51.0-draft-wording": _succeeding(_pair(51, drafts=True), replace(_INFERRED, downtime_ms=103)),
        "v52.0-default-verbosity": _succeeding(_pair(52, 0)),
        "v52.0-tcp": _succeeding(_pair(52), _SUCCESS),
        "v52.0-tcp-debug": _succeeding(_pair(52, 2), met),
        "v52.0-timeout-ignore": _succeeding(_pair(52, **ignoring), ignored),
        "v52.0-wallclock": _succeeding(_pair(52, 2, form=_wallclock), met),
        "v53.0-default-verbosity": _succeeding(_pair(53, 0)),
        "v53.0-tcp": _succeeding(_pair(53), _SUCCESS),
        "v53.0-old-source": _succeeding(old, packed, events=True),
        "v53.0-timeout-ignore": _succeeding(_pair(53, **ignoring), ignored),
        "v53.0-tls": _succeeding(_pair(53, 2, tls=True), _IN_DETAIL),
        "head-tcp": _succeeding(_pair(_HEAD, 2), _IN_DETAIL),
        "next-tcp": _succeeding(_pair(_NEXT), _SUCCESS),
        "v36.0-local": _succeeding(_handover(36), _LOCAL_BY_COMMANDS),
        "v45.0-local": _succeeding(_handover(45), _LOCAL_BY_COMMANDS),
        "v52.0-local": _succeeding(_handover(52), _LOCAL),
        "v53.0-local": _succeeding(_handover(53), _LOCAL),
        "head-preserve-source": _succeeding(_handover(_HEAD, preserve_source=True), _LOCAL),
        "v52.0-paused": _succeeding(_paused_by_operator(_pair(52, 2, paused_before=True)), _OF_PAUSED_GUEST),
        "v53.0-paused": _succeeding(_paused_by_operator(_pair(53, 2, paused_before=True)), _OF_PAUSED_GUEST),
        "v53.0-postcopy": _succeeding(_postcopy(), _POSTCOPY),
        "head-postcopy": _succeeding(_postcopy(_HEAD, 1), _POSTCOPY),
        "v45.0-source-alone": _one_side(_pair(45), "source"),
        "v53.0-source-alone": _one_side(_pair(53), "source"),
        "v45.0-destination-alone": _one_side(_pair(45), "destination"),
        "v53.0-destination-alone": _one_side(_pair(53), "destination"),
    }


def _one_side(migration: _Migration, role: str) -> Scenario:
    """A success of which only one host's log was kept."""
    migration.succeeds()
    events = migration.release >= 50
    source = Attempt(
        spans=_COPIED | {"setup", "downtime", "pause"} | ({"snapshot", "cleanup"} if events else set()),
        absent=frozenset({"receive", "blackout", "rollback"}),
        downtime_ms=103 if events else 102,
    )
    if role == "source":
        return Scenario(files={"source.log": migration.source.log()}, attempts=(source,))
    return Scenario(
        files={"destination.log": migration.destination.log()},
        attempts=(Attempt(iterations=None, spans=frozenset({"receive"}), absent=_MEMORY | {"setup", "downtime"}),),
    )


def _paused_by_operator(migration: _Migration) -> _Migration:
    """The guest is paused before the migration is asked for."""
    source, at = migration.source, migration.start_ms - 700
    source.at(at, "vmm", "INFO", "vmm/src/api/mod.rs:1384", "API request event: VmPause")
    source.event(at + 0.5, "vmm", "pausing")
    source.at(at + 2, "vmm", "INFO", "virtio-devices/src/device.rs:313", "Pausing virtio-block")
    source.event(at + 4, "vmm", "paused")
    return migration


def _pause_fails(release: int) -> Scenario:
    """Until v51 the pause of a paused guest is an error, and the way back from it lets the guest run."""
    migration = _paused_by_operator(_pair(release))
    migration.until_config()
    migration.first_iteration()
    migration.second_iteration()
    migration.failed(1116.5, "Pause(Invalid transition: InvalidStateTransition(Paused, Paused))", resumes=True)
    error = "InvalidStateTransition(Paused, Paused)"
    return _told(migration, replace(_IN_PRECOPY, error_type="pause_failed", describes=error))


def _worded(release: int, error: str) -> str:
    """``error`` as the failure line has it: the Debug form until v52.0, the chain from v53.0 on."""
    if release <= 52:
        return f"MigrateSend({error})"
    return f"Failed to send migratable component snapshot: {error}"


def _refused(release: int, verbosity: int = 1) -> Scenario:
    """Nobody listens."""
    migration = _pair(release, verbosity)
    migration.requested()
    migration.failed(2.1, _worded(release, _CONNECTION_REFUSED))
    wanted = replace(_REFUSED, guest_running=True if verbosity else None)  # warnings tell of no operator's pause
    return Scenario(files={"source.log": migration.source.log()}, attempts=(wanted,))


def _handshake_fails() -> Scenario:
    """The destination is reached, but the two do not trust each other."""
    migration = _pair(53, tls=True)
    migration.requested()
    migration.failed(9, _worded(53, "Error during TLS handshake: invalid peer certificate: UnknownIssuer"))
    return _told(migration, replace(_IN_SETUP, error_type="tls_error", describes="certificate"))


def _rejects_config(migration: _Migration) -> None:
    """The destination's CPU lacks something; until v40 the source says so, later the end of the socket hides it."""
    migration.requested()
    migration.connected()
    migration.incompatible()
    migration.rejected(6.5, "Config", "Error checking cpu feature compatibility")
    release, at = migration.release, migration.start_ms
    if release <= 40:
        migration.source.at(at + 7.8, "vmm", "WARN", "vmm/src/lib.rs:960", "Error during config migration")
        migration.destination.at(at + 8.2, "vmm", "INFO", "vmm/src/lib.rs:1930", "Abandon Command Received")
    masked = 41 <= release <= 52
    migration.failed(8.8, _EOF_DEBUG if masked else _worded(release, "Error during config migration"), reported=True)


def _config_rejected(release: int) -> Scenario:
    migration = _tunnel(release) if release <= 42 else _pair(release)
    _rejects_config(migration)
    return _told(migration, _CONFIG_REJECTED)


def _state_rejected(migration: _Migration, wanted: Attempt) -> Scenario:
    """The destination cannot build the VM: the guest goes on at the source."""
    migration.until_snapshot()
    migration.state_received()
    migration.rejected(1190, "State", "Failed to receive migratable component snapshot")
    masked = 50 <= migration.release <= 52
    error = _EOF_DEBUG if masked else _worded(migration.release, "Error during state migration")
    migration.failed(1191.2, error, reported=True, resumes=True)
    return _told(migration, wanted)


def _timeout_cancels(release: int) -> Scenario:
    """The guest writes faster than the source can send, and the caller wants it back."""
    migration = _pair(release, timeout_s=1, target_ms=1)
    migration.until_config()
    migration.first_iteration()
    migration.second_iteration()
    migration.failed(1115, _worded(release, _TIMEOUT))
    migration.lost(1115.6)
    attempt = replace(
        _IN_PRECOPY,
        result="timeout",
        error_type="convergence_timeout",
        erroring=_IN_PRECOPY.erroring | {"receive"},
        describes="Timeout reached",
        convergence="timeout_cancelled",
    )
    return _told(migration, attempt)


def _aborts_silently() -> Scenario:
    """The destination answers a memory request with an error and fires no event."""
    migration = _pair(53, 2)
    migration.until_config()
    migration.first_iteration()
    migration.second_iteration_begun()
    migration.rejected(1050, "Memory", "Failed to receive migratable component snapshot", announced=False)
    migration.failed(1052, _worded(53, "Error during memory migration"), reported=True)
    erroring = _MEMORY | {"migration", "receive"}
    return _told(migration, replace(_IN_PRECOPY, error_type="receive_failed", iterations=1, erroring=erroring))


def _destination_killed_early(release: int) -> Scenario:
    """The destination dies in the first iteration."""
    migration = _pair(release, 2)
    migration.until_config()
    migration.first_iteration()
    migration.source.killed(migration.start_ms + 1010)
    migration.destination.killed(migration.start_ms + 600)
    migration.failed(600.8, _worded(release, _RESET_IN_TRANSFER))
    asked = frozenset() if release == 52 else frozenset({"receive memory"})
    return _told(
        migration, _with_destination(replace(_IN_FIRST_ITERATION, describes="Connection reset by peer"), asked)
    )


def _with_destination(wanted: Attempt, open_spans: frozenset[str] = frozenset()) -> Attempt:
    """``wanted``, with a destination that the source saw go: it and what it was doing are in ERROR."""
    return replace(wanted, erroring=wanted.erroring | {"receive"} | open_spans)


def _destination_killed_late(release: int) -> Scenario:
    """The destination dies while it restores."""
    migration = _pair(release, 2)
    migration.until_snapshot()
    migration.state_received()
    migration.destination.killed(migration.start_ms + 1190)
    error = _RESET_DEBUG if release <= 52 else "Socket error: Connection reset by peer (os error 104)"
    migration.failed(1191.2, error, resumes=True)
    wanted = _with_destination(replace(_ROLLED_BACK, error_type="socket_error"), frozenset({"restore"}))
    return _told(migration, _without_events(release, wanted))


def _without_events(release: int, wanted: Attempt) -> Attempt:
    """``wanted`` as far as a release without ``Event:`` lines can tell it."""
    return replace(wanted, downtime_ms=73, rollback_ms=None) if release <= 49 else wanted


def _source_killed(*, in_downtime: bool) -> Scenario:
    """The source dies; the destination sees the connection end."""
    migration = _pair(53, 2)
    migration.until_snapshot()
    at, open_spans = (1150.0, frozenset({"downtime", "snapshot"})) if in_downtime else (1060.0, _MEMORY)
    migration.source.killed(migration.start_ms + at)
    migration.destination.killed(migration.start_ms + at)
    migration.lost(at + 0.8)
    attempt = replace(
        _VANISHED,
        iterations=2 if in_downtime else 1,
        spans=open_spans | {"setup", "receive"},
        absent=frozenset({"rollback", "cleanup", "resume"}) | (set() if in_downtime else _NO_STOP),
        erroring=open_spans | {"migration", "receive"},
    )
    return _told(migration, attempt)


_SECCOMP: Final = (
    "\n==== Possible seccomp violation ====\n"
    "Syscall number: 262 (arch: 0xc000003e, tid: 637, thread: migration-worker)\n"
    "Try running with `strace -ff` to identify the cause and open an issue: "
    "https://github.com/cloud-hypervisor/cloud-hypervisor/issues/new\n"
)


def _killed_by_its_filter() -> Scenario:
    """The source calls what its filter forbids while it takes the snapshot; it logs to its standard error."""
    migration = _handover(53, 2)
    migration.until_snapshot()
    migration.source.killed(migration.start_ms + 30)
    migration.source.prints(_SECCOMP)
    migration.lost(1156)
    attempt = replace(
        _VANISHED,
        mode="local",
        guest_location="none",
        guest_running=False,
        iterations=0,
        spans=frozenset({"setup", "downtime", "pause", "snapshot", "receive"}),
        absent=_COPIED | {"rollback", "cleanup", "resume"},
        erroring=frozenset({"migration", "downtime", "snapshot", "receive"}),
    )
    return _told(migration, attempt)


def _guest_crashes_later() -> Scenario:
    """The migration succeeded; the guest did not live long on the destination."""
    migration = _pair(53)
    migration.succeeds()
    destination, at = migration.destination, migration.start_ms + 9_000
    destination.event(at, "vcpu0", "panic", source="guest")
    cause = "Unexpected exit reason on vcpu run: InternalError"
    error = f"VCPU generated error: VcpuRun(Failed to run vcpu\n\nCaused by:\n    {cause})"
    destination.at(at + 40, "vcpu0", "ERROR", "vmm/src/cpu.rs:1460", error)
    destination.at(at + 44, "vmm", "INFO", "vmm/src/lib.rs:2080", "VM exit event")
    destination.at(at + 46, "vmm", "INFO", "virtio-devices/src/device.rs:335", "Resuming virtio-block")
    destination.event(at + 60, "vmm", "shutdown")
    return _told(migration, replace(_SUCCESS, guest_location="none", guest_running=False))


def _disk_full() -> Scenario:
    """The source's log stops in the middle of a record; the destination's goes on to the good end."""
    migration = _pair(53, 2)
    migration.succeeds()
    log = migration.source.log()
    cut = log.index(b"Precopy complete: iter=3") + len(b"Precopy complete: iter=3 cur")
    attempt = Attempt(
        result="unknown",
        spans=_MEMORY | {"setup", "downtime", "pause", "receive", "restore", "resume"},
        absent=frozenset({"rollback", "cleanup"}),
    )
    files = {"source.log": log[:cut], "destination.log": migration.destination.log()}
    return Scenario(files=files, attempts=(attempt,))


def _connections_break() -> Scenario:
    """One of several connections breaks; the error has a chain of causes, a line each."""
    migration = _pair(52, 2, connections=4)
    migration.until_config()
    migration.destination.killed(migration.start_ms + 600)
    at, file = migration.start_ms + 600.4, "vmm/src/migration_transport.rs"
    message = "Error in send-memory thread: Socket error: Connection reset by peer (os error 104)"
    migration.source.at(at, "vmm", "WARN", f"{file}:640", message)
    chain = "Error sending memory to receiver side\n\nCaused by:\n    0: Socket error\n    1: {}"
    migration.failed(600.8, _worded(52, chain.format("Connection reset by peer (os error 104)")))
    wanted = replace(_IN_FIRST_ITERATION, describes="Error sending memory to receiver side")
    return _told(migration, _with_destination(wanted))


def _third_time_lucky() -> Scenario:
    """One source process: nobody listens, then the receiver refuses, then it works."""
    source, destination = _Log(53, born_ms=0, verbosity=2), _Log(53, born_ms=4_200, verbosity=2)
    source.booted()
    first = _Migration(source=source, destination=_Log(53, born_ms=0), start_ms=1_500)
    first.requested()
    first.failed(2.1, _worded(53, _CONNECTION_REFUSED))
    _rejects_config(_Migration(source=source, destination=destination, start_ms=5_000))
    third = _Migration(source=source, destination=destination, start_ms=10_000)
    third.succeeds()
    rejected, lucky = (replace(each, clock_offset_s=-4.2) for each in (_CONFIG_REJECTED, _IN_DETAIL))
    return _told(third, _REFUSED, rejected, lucky)


def _there_and_back() -> Scenario:
    """A guest goes to another host and returns: the middle process receives, then sends."""
    here, there = _Log(53, born_ms=0, verbosity=2), _Log(53, born_ms=1_250, verbosity=2)
    back = _Log(53, born_ms=29_100, verbosity=2)
    here.booted()
    _Migration(source=here, destination=there).succeeds()
    _Migration(source=there, destination=back, start_ms=30_000, url="tcp:192.0.2.10:4444").succeeds()
    files = {"here.log": here.log(), "there.log": there.log(), "back.log": back.log()}
    return Scenario(files=files, attempts=(_IN_DETAIL, replace(_IN_DETAIL, clock_offset_s=-27.85)))


def _pages_lost() -> Scenario:
    """The source dies while the destination still fetches pages from it."""
    migration = _postcopy()
    migration.until_completed()
    migration.prefault_lost(1800)
    attempt = replace(
        _POSTCOPY,
        result="unknown",
        error_type="peer_aborted",
        spans=_POSTCOPY.spans - {"cleanup"},
        absent=_POSTCOPY.absent | {"cleanup"},
        erroring=frozenset({"migration", "postcopy", "prefault"}),
    )
    return _told(migration, attempt)


def _pages_abandoned(release: int, verbosity: int) -> Scenario:
    """The destination tells the source that it fetches no more pages; to the source that is an end like another."""
    migration = _postcopy(release, verbosity)
    migration.until_completed()
    migration.prefault_lost(1800)
    migration.abandoned(1801)
    migration.finished(1804)
    attempt = replace(
        _POSTCOPY,
        result="failure",
        error_type="postcopy_failed",
        erroring=frozenset({"migration", "postcopy", "prefault"}),
        describes="received Abandon",
    )
    return _told(migration, attempt)


def _drain_fails() -> Scenario:
    """The source cannot serve a page: its process takes that for a failed migration and resumes its own copy."""
    migration = _postcopy()
    migration.until_completed()
    error = "Postcopy: reading guest memory gpa=0x405c000 len=4096: Invalid Guest Address GuestAddress(0x405c000)"
    migration.failed(1800, _worded(53, error), resumes=True)
    migration.prefault_lost(1800.8)
    attempt = replace(
        _POSTCOPY,
        result="failure",
        error_type="postcopy_failed",
        guest_location="both",
        spans=_POSTCOPY.spans - {"cleanup"},
        absent=_COPIED,
        erroring=frozenset({"migration", "postcopy", "prefault"}),
        describes="reading guest memory",
    )
    return _told(migration, attempt)


_POSTCOPY_REJECTED: Final = replace(
    _STATE_REJECTED,
    mode="postcopy",
    iterations=0,
    spans=frozenset({"setup", "downtime", "pause", "snapshot", "send", "rollback", "receive", "prefault"}),
    absent=_STATE_REJECTED.absent | _COPIED | {"postcopy"},
    downtime_ms=55,
)


def _failures() -> dict[str, Scenario]:
    untold = replace(_without_events(45, _STATE_REJECTED), erroring=_ROLLED_BACK.erroring)
    return {
        **{f"v{release}.0-refused": _refused(release) for release in (43, 48, 50, 52, 53)},
        "v52.0-refused-default-verbosity": _refused(52, 0),
        "v53.0-tls-handshake-fails": _handshake_fails(),
        **{f"v{release}.0-config-rejected": _config_rejected(release) for release in (36, 38, 40, 45, 50, 52, 53)},
        "v45.0-state-rejected": _state_rejected(_pair(45), untold),
        "v51.0-state-rejected": _state_rejected(_pair(51), _STATE_REJECTED),
        "v52.0-state-rejected": _state_rejected(_pair(52), _STATE_REJECTED),
        "v53.0-state-rejected": _state_rejected(_pair(53), _STATE_REJECTED),
        "next-state-rejected": _state_rejected(_pair(_NEXT), _STATE_REJECTED),
        "v53.0-postcopy-rejected": _state_rejected(_postcopy(), _POSTCOPY_REJECTED),
        "v45.0-pause-fails": _pause_fails(45),
        "v51.0-pause-fails": _pause_fails(51),
        "v52.0-timeout-cancel": _timeout_cancels(52),
        "v53.0-timeout-cancel": _timeout_cancels(53),
        "v53.0-receiver-aborts-silently": _aborts_silently(),
        **{f"v{release}.0-destination-killed-early": _destination_killed_early(release) for release in (45, 52, 53)},
        **{f"v{release}.0-destination-killed-late": _destination_killed_late(release) for release in (45, 52, 53)},
        "v53.0-source-killed-early": _source_killed(in_downtime=False),
        "v53.0-source-killed-late": _source_killed(in_downtime=True),
        "v53.0-source-killed-by-seccomp": _killed_by_its_filter(),
        "v53.0-guest-crashes-later": _guest_crashes_later(),
        "v53.0-disk-full": _disk_full(),
        "v52.0-connections-break": _connections_break(),
        "v53.0-third-time-lucky": _third_time_lucky(),
        "v53.0-there-and-back": _there_and_back(),
        "v53.0-postcopy-source-lost": _pages_lost(),
        "v53.0-postcopy-abandoned": _pages_abandoned(53, 2),
        "head-postcopy-abandoned": _pages_abandoned(_HEAD, 1),
        "v53.0-postcopy-drain-fails": _drain_fails(),
    }


def _fork() -> _ForkMigration:
    """A pair of the fork's processes, up to two running iterations."""
    source = _Log(51, born_ms=0, form=_rfc9557)
    source.booted()
    migration = _ForkMigration(source=source, destination=_Log(51, born_ms=1_250, form=_rfc9557))
    migration.begins()
    migration.copies()
    return migration


def _forked() -> dict[str, Scenario]:
    success, cancelled, failed, late = _fork(), _fork(), _fork(), _fork()
    success.stops_the_guest()
    success.completes()
    cancelled.cancelled()
    failed.fails(1114.2, "Failed to send migratable component snapshot", _RESET_IN_TRANSFER)
    late.timed_out()
    taken_back = replace(_IN_PRECOPY, result="cancellation", erroring=frozenset())
    reset = replace(
        _IN_PRECOPY,
        error_type="socket_error",
        erroring=_MEMORY | {"migration", "receive"},  # the third iteration was on its way
        describes="Connection reset by peer",
    )
    timeout = replace(_IN_PRECOPY, result="timeout", error_type="convergence_timeout", describes="timed out")
    return {
        "cyberus-success": _told(success, _SUCCESS),
        "cyberus-cancelled": _told(cancelled, taken_back),
        "cyberus-failed": _told(failed, reset),
        "cyberus-timed-out": _told(late, timeout),
    }


def _cannot_resume() -> Scenario:
    """The destination rejects the state, and the source cannot let the guest run again."""
    migration = _pair(53)
    migration.until_snapshot()
    migration.state_received()
    migration.rejected(1190, "State", "Failed to receive migratable component snapshot")
    migration.failed(1191.2, _worded(53, "Error during state migration"), reported=True)
    migration.resume_fails(1192.4)
    return _told(migration, replace(_STATE_REJECTED, guest_running=False, rollback_ms=None))


def _paused_guest_stays() -> Scenario:
    """The migration of a guest that the operator had paused fails: it stands at the source as it did before."""
    migration = _paused_by_operator(_pair(53, 2, paused_before=True))
    migration.until_config()
    migration.first_iteration()
    migration.source.killed(migration.start_ms + 1010)
    migration.destination.killed(migration.start_ms + 600)
    migration.failed(600.8, _worded(53, _RESET_IN_TRANSFER))
    wanted = replace(_IN_FIRST_ITERATION, guest_running=False, describes="Connection reset by peer")
    return _told(migration, _with_destination(wanted, frozenset({"receive memory"})))


def _standing_still() -> dict[str, Scenario]:
    return {"v53.0-resume-fails": _cannot_resume(), "v53.0-paused-fails": _paused_guest_stays()}


SCENARIOS: Final[Mapping[str, Scenario]] = _successes() | _failures() | _forked() | _standing_still()
"""By name, the release first."""

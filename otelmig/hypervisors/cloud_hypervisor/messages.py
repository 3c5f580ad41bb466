"""The message table: what Cloud Hypervisor prints about a migration -> what that means.

One row per message and form, in the order of a migration: source, then destination, then both. A row is
written like the upstream format string, with ``{name:type}`` for what it prints; it names the releases that
print it (from the tagged sources) and, by its :class:`~otelmig.observation.Kind`, the moment that it marks.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.failures import command_error_type, error_type
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, Releases, since, until
from otelmig.hypervisors.cloud_hypervisor.vm_config import vm_config_values
from otelmig.observation import NO_VALUES, Kind, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["FAMILIES", "TABLE", "Meaning", "Row", "meaning_of"]

_MS: Final = 10**6
_S: Final = 10**9
_MIB: Final = 1 << 20
_KIB: Final = 1 << 10


def _rate(text: str) -> float | None:
    """MiB/s -> bytes/s; None for the ``inf`` and ``NaN`` that Rust prints after an instant transfer."""
    value = float(text)
    return value * _MIB if math.isfinite(value) else None


_TYPES: Final[dict[str, tuple[str, Callable[[str], Value | None]]]] = {
    "int": (r"\d{1,15}", int),
    "ms": (r"\d{1,12}(?=ms)", lambda text: int(text) * _MS),
    "s": (r"\d{1,9}(?=s)", lambda text: int(text) * _S),
    "decimal_s": (r"\d{1,9}\.\d{1,3}(?=s)", lambda text: round(float(text) * 1000) * _MS),
    "mib": (r"\d{1,12}(?=MiB)", lambda text: int(text) * _MIB),
    "kib": (r"\d{1,12}(?= \(KiB\))", lambda text: int(text) * _KIB),
    "mib_per_s": (r"(?:\d{1,15}(?:\.\d{1,9})?|inf|NaN)(?=MiB/s)", _rate),
    "hex": (r"[0-9a-f]{1,16}", lambda text: int(text, 16)),
    "bool": (r"true|false", lambda text: text == "true"),
    "word": (r"\w{1,64}", str),
    "lower": (r"\w{1,64}", str.lower),
    "device": (r"[\w-]{1,64}", str),
    "url": (r"[^\r\n]{1,4096}?", str),
    "quoted": (r'"(?:[^"\\\r\n]|\\.){0,4096}"', lambda text: text[1:-1]),
    "option": (r'None|Some\("(?:[^"\\\r\n]|\\.){0,4096}"\)', lambda text: text != "None"),
    "version": (r"v\d[\w.+-]{0,63}", str),
    "strategy": (r"Cancel|Ignore", str.lower),
    "vm_call": (
        r"(?:VmCreate|VmBoot|VmPause|VmResume|VmReboot|VmShutdown|VmDelete|VmPowerButton|VmRestore|VmSnapshot|VmmShutdown)\b",
        str,
    ),
    "any": (r".{0,65536}", str),
}
_FIELD: Final = re.compile(r"\{(\w*):(\w+)\}")
_CONTEXT: Final = (
    "iter={iteration:int} curr={size_bytes:mib}MiB total={total_bytes:mib}MiB bw={bandwidth:mib_per_s}MiB/s "
    "transfer={transfer_ns:decimal_s}s overhead={overhead_ns:ms}ms est_downtime={estimate_ns:ms}ms "
    "elapsed={elapsed_ns:decimal_s}s avg_bw={average_bandwidth:mib_per_s}MiB/s"
)
"""What v52.0 on prints of a memory pass; sizes are rounded up to MiB, milliseconds are truncated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message form."""

    form: str
    """The text with ``{name:type}`` where a value is printed."""
    kind: Kind
    releases: Releases
    threads: tuple[str, ...] = ()
    """Thread names (or their beginnings) that tell this message from others of the same text; empty: any."""
    constants: Mapping[str, Value] = field(default_factory=dict)
    derived: Callable[[Mapping[str, Value]], Mapping[str, Value]] | None = None
    """What the printed values amount to; takes their place."""
    pattern: re.Pattern[str] = field(init=False)
    converters: Mapping[str, Callable[[str], Value | None]] = field(init=False)

    def __post_init__(self) -> None:
        pattern, converters, end = "", {}, 0
        for found in _FIELD.finditer(self.form):
            name, type_name = found.groups()
            expression, convert = _TYPES[type_name]
            pattern += re.escape(self.form[end : found.start()])
            pattern += f"(?P<{name}>{expression})" if name else f"(?:{expression})"
            end = found.end()
            if name:
                converters[name] = convert
        pattern += re.escape(self.form[end:])
        object.__setattr__(self, "pattern", re.compile(pattern, re.DOTALL))
        object.__setattr__(self, "converters", converters)

    @property
    def head(self) -> str:
        """The literal text before the first printed value."""
        return _FIELD.split(self.form, maxsplit=1)[0]

    def values(self, message: str) -> Mapping[str, Value] | None:
        """What ``message`` prints, if it has exactly this form, else None."""
        match = self.pattern.fullmatch(message)
        if match is None:
            return None
        if not self.converters and not self.constants and self.derived is None:
            return NO_VALUES
        values: dict[str, Value] = dict(self.constants)
        for name, convert in self.converters.items():
            value = convert(match[name])
            if value is not None:
                values[name] = value
        return values if self.derived is None else self.derived(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a message says, and which releases say it so."""

    kind: Kind
    values: Mapping[str, Value]
    releases: Releases


def _failure(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {**values, "error_type": error_type(str(values["error"]))}


def _abort(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {**values, "error_type": command_error_type(str(values["command"]))}


def _config(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return vm_config_values(str(values["config"]))


_V36_51: Final = until("v51.0")
_V43: Final = since("v43.0")
_V50: Final = since("v50.0")
_V52: Final = since("v52.0")
_V52_ONLY: Final = until("v52.0", first="v52.0")
_V53: Final = since("v53.0")
_V53_ONLY: Final = until("v53.0", first="v53.0")
_HEAD: Final = since("HEAD")
_SEND: Final = (
    "API request event: VmSendMigration VmSendMigrationData { destination_url: {url:quoted}, local: {local:bool}"
)
_RECEIVE: Final = "API request event: VmReceiveMigration VmReceiveMigrationData { receiver_url: {url:quoted}"
_LIMITS: Final = "downtime_ms: {:int}, timeout_s: {:int}, timeout_strategy: {:word}, connections: {connections:int}"


def _row(kind: Kind, releases: Releases, form: str, **rest: object) -> Row:
    return Row(form=form, kind=kind, releases=releases, **rest)  # type: ignore[arg-type] # passed on as given


TABLE: Final[tuple[Row, ...]] = (
    # process
    _row(Kind.PROCESS_STARTED, _V52, "{version:version} starting"),
    _row(Kind.PROCESS_EXITED, since("v49.0"), "Cloud Hypervisor exited successfully"),
    _row(Kind.API_REQUEST, ALL, "API request event: {request:vm_call}{:any}"),
    _row(Kind.VM_CONFIG, ALL, "Booting VM from config: Mutex { data: VmConfig {{config:any}", derived=_config),
    # source: the request and the start
    _row(Kind.SEND_REQUESTED, until("v51.0", first="v38.0"), _SEND + " }"),
    _row(Kind.SEND_REQUESTED, _V52_ONLY, f"{_SEND}, {_LIMITS} }}"),
    _row(
        Kind.SEND_REQUESTED,
        _V53_ONLY,
        f"{_SEND}, {_LIMITS}, tls_dir: {{:option}}, memory_mode: {{mode:lower}} }}",
    ),
    _row(
        Kind.SEND_REQUESTED,
        _HEAD,
        f"{_SEND}, preserve_source: {{preserve_source:bool}}, {_LIMITS}, tls_dir: {{:option}}, "
        "memory_mode: {mode:lower} }",
    ),
    _row(Kind.SEND_STARTED, _V36_51, "Sending migration: destination_url = {url:url}, local = {local:bool}"),
    _row(
        Kind.SEND_STARTED,
        _V52_ONLY,
        "Sending migration: destination_url={url:url},local={local:bool},downtime={target_ns:ms}ms,"
        "timeout={timeout_ns:s}s,timeout_strategy={strategy:strategy}",
    ),
    _row(
        Kind.SEND_STARTED,
        _V53,
        "Sending migration: destination_url={url:url},local={local:bool},tls={tls:bool},downtime={target_ns:ms}ms,"
        "timeout={timeout_ns:s}s,timeout_strategy={strategy:strategy}",
    ),
    _row(Kind.CONNECTING, _V43, "Connecting to TCP socket at {address:url}", constants={"transport": "tcp"}),
    _row(Kind.CONNECTING, _V43, "Connecting to UNIX socket at {:quoted}", constants={"transport": "unix"}),
    _row(Kind.TLS_ESTABLISHED, _V53, "TLS handshake (client-side/sender) successful"),
    _row(
        Kind.CPUID_GENERATED,
        until("v52.0"),
        "Generating guest CPUID for with physical address size: {:int}",
    ),
    _row(Kind.CPUID_GENERATED, _V53, "Generating guest CPUID with physical address size: {:int}"),
    _row(Kind.PROTOCOL_AGREED, _V53, "Using migration protocol {protocol:int}"),
    # source: memory
    _row(Kind.DIRTY_ROUND, _V36_51, "Dirty memory migration {round:int} of {rounds:int}"),
    _row(Kind.DIRTY_TABLE, ALL, "Dirty Memory Range Table:", constants={"part": "begin"}),
    _row(Kind.DIRTY_TABLE, ALL, "Dirty Memory Range Table is empty", constants={"part": "empty"}),
    _row(Kind.DIRTY_TABLE, ALL, "GPA: {:hex} size: {dirty_bytes:kib} (KiB)", constants={"part": "range"}),
    _row(Kind.ITERATION_SENT, _V52, f"Precopy: {_CONTEXT}"),
    _row(
        Kind.CONVERGENCE_DECIDED,
        _V52,
        "Precopy: No more memory to transfer",
        constants={"reason": "no_dirty_memory"},
    ),
    _row(
        Kind.CONVERGENCE_DECIDED,
        _V52,
        "Precopy: Target downtime can be met: {estimate_ns:ms}ms <= {target_ns:ms}ms",
        constants={"reason": "downtime_target_met"},
    ),
    _row(
        Kind.CONVERGENCE_DECIDED,
        _V52,
        "Precopy: Pausing VM, ignoring target downtime ({target_ns:ms}ms) due to timeout ({timeout_ns:s}s): "
        "Estimated downtime: {estimate_ns:ms}ms",
        constants={"reason": "timeout_ignored"},
    ),
    _row(Kind.PRECOPY_CONVERGED, _V52, f"Precopy converged: {_CONTEXT}"),
    _row(Kind.FINAL_DELTA_SENT, _V52, f"Precopy complete: {_CONTEXT}"),
    # source: the end
    _row(Kind.COMPLETED, _V36_51, "Migration complete"),
    _row(
        Kind.COMPLETED,
        _V52,
        "Migration completed after {total_ns:decimal_s}s with a downtime of {downtime_ns:ms}ms "
        "(goal was {target_ns:ms}ms)",
    ),
    _row(
        Kind.DOWNTIME_BREAKDOWN,
        _V52,
        "Downtime breakdown: {downtime_ns:ms}ms (final_iter:{final_delta_ns:ms}ms state:{snapshot_ns:ms}ms "
        "send_state:{send_ns:ms}ms complete:{complete_ns:ms}ms)",
    ),
    _row(Kind.POSTCOPY_SERVING, _V53, "Postcopy: source entering PageFault serve loop"),
    _row(
        Kind.POSTCOPY_DRAINED,
        _V53,
        "Postcopy: destination closed the fault connection \N{EM DASH} drain complete",
    ),
    _row(
        Kind.POSTCOPY_DRAINED,
        _V53,
        "Postcopy: received Abandon, exiting serve loop",
        constants={"abandoned": True},
    ),
    _row(Kind.PEER_REPORTED_ERROR, _V53, "Receiver reported error: aborting migration"),
    _row(Kind.SEND_FAILED, ALL, "Migration failed: {error:any}", derived=_failure),
    _row(Kind.RESUMED_AFTER_FAILURE, _V53, "Resumed VM successfully after failed migration"),
    _row(Kind.RESUME_FAILED, _V53, "Failed resuming VM after failed migration: {error:any}"),
    # destination
    _row(Kind.RECEIVE_REQUESTED, until("v52.0", first="v38.0"), _RECEIVE + " }"),
    _row(
        Kind.RECEIVE_REQUESTED,
        _V53_ONLY,
        f"{_RECEIVE}, tls_dir: {{:option}}, memory_mode: {{mode:lower}} }}",
    ),
    _row(
        Kind.RECEIVE_REQUESTED,
        _HEAD,
        f"{_RECEIVE}, tls_dir: {{:option}}, memory_mode: {{mode:lower}}, vfio_fds: {{:any}} }}",
    ),
    _row(Kind.RECEIVE_STARTED, until("v52.0"), "Receiving migration: receiver_url = {url:url}"),
    _row(Kind.RECEIVE_STARTED, _V53_ONLY, "Receiving migration: receiver_url={url:url},tls={tls:bool}"),
    _row(
        Kind.RECEIVE_STARTED,
        _HEAD,
        "Receiving migration: receiver_url={url:url},tls={tls:bool},zone_updates={:any}",
    ),
    _row(Kind.TLS_ESTABLISHED, _V53, "TLS handshake (server-side/receiver) successful"),
    _row(Kind.COMMAND_RECEIVED, until("v49.0"), "{command:word} Command Received"),
    _row(Kind.COMMAND_RECEIVED, until("v52.0", first="v50.0"), "Command {command:word} received"),
    _row(Kind.COMMAND_RECEIVED, _V53, "Command '{command:word}' received"),
    _row(Kind.CPU_COMPATIBLE, ALL, "No CPU incompatibility detected."),
    _row(Kind.MEMORY_MAPPED, until("v50.0"), "Anonymous mapping at 0x{:hex} (size = 0x{:hex})"),
    _row(Kind.MEMORY_MAPPED, since("v51.0"), "RAM region mapping at 0x{:hex} (size = 0x{:hex})"),
    _row(Kind.ACCEPT_STOPPED, _V52, "Stopped accepting additional connections. Cleaning up threads."),
    _row(
        Kind.STATE_RECEIVED,
        _V52,
        "Migration (incoming): recv_snapshot:{receive_ns:ms}ms restore:{restore_ns:ms}ms",
    ),
    _row(Kind.RESUME_TIMED, _V52, "Migration (incoming): resume:{resume_ns:ms}ms"),
    _row(
        Kind.FINAL_STATE_TIMED,
        _V52,
        "Migration (incoming): Receiving final state and resuming the VM took {took_ns:ms}ms",
    ),
    _row(Kind.PAUSED_STATE_RECEIVED, _V52, "Migration (incoming): Receiving final state of a paused VM"),
    _row(
        Kind.RECEIVE_ABORTED,
        _V50,
        "Migration aborted as migration command {command:word} failed: {error:any}",
        derived=_abort,
    ),
    _row(
        Kind.PEER_LOST,
        _V53,
        "Failed to read migration request: sender likely failed, aborting",
    ),
    _row(
        Kind.PEER_LOST,
        _V52,
        "ReceiveAdditionalConnections was not cleaned up! Either cleanup() was never called (programming error) "
        "or it failed before completing.",
    ),
    _row(Kind.PREFAULT_STARTED, _V53, "UFFD: spawning handler for {regions:int} region(s)"),
    _row(
        Kind.PREFAULT_DONE,
        _V53,
        "UFFD handler: prefault done in {:any} \N{EM DASH} prefaulted={prefaulted:int} served={served:int} "
        "total={pages:int}",
    ),
    _row(Kind.PREFAULT_FAILED, _V53, "UFFD prefault: abandoning background prefault after error"),
    # both sides
    _row(Kind.DEVICE_PAUSING, ALL, "Pausing virtio-{device:device}"),
    _row(Kind.DEVICE_RESUMING, ALL, "Resuming virtio-{device:device}"),
)
"""Every message that a trace is made of, v36.0 to HEAD."""

FAMILIES: Final = (
    "Migration ",
    "Migration:",
    "Precopy",
    "Postcopy",
    "Downtime",
    "Sending migration",
    "Receiving migration",
    "Dirty memory migration",
    "Dirty Memory Range",
    "Event: source = vm event = migration-",
    "API request event: VmSendMigration",
    "API request event: VmReceiveMigration",
)
"""How lines that speak of a migration begin; one of these that no row explains is counted as not understood."""


def _index() -> dict[str, tuple[Row, ...]]:
    """Rows by the first character of their text; rows that begin with a value stand under the empty string."""
    by_initial: dict[str, list[Row]] = {}
    for row in TABLE:
        by_initial.setdefault(row.head[:1], []).append(row)
    return {initial: tuple(rows) for initial, rows in by_initial.items()}


_BY_INITIAL: Final = _index()
_EVENT: Final = re.compile(r"Event: source = (\S{1,64}) event = (\S{1,64}) ?(.{0,4096})", re.DOTALL)
_PROPERTY: Final = re.compile(r"(\w{1,64}) = ([^,]{0,256})")


def _candidates(message: str) -> Iterator[Row]:
    for row in _BY_INITIAL.get(message[:1], ()):
        if message.startswith(row.head):
            yield row
    yield from _BY_INITIAL.get("", ())


def meaning_of(message: str) -> Meaning | None:
    """What ``message`` says about a migration, or None if no row explains it."""
    if message.startswith("Event: "):
        return _event_meaning(message)
    for row in _candidates(message):
        values = row.values(message)
        if values is not None:
            return Meaning(kind=row.kind, values=values, releases=row.releases)
    return None


def _event_meaning(message: str) -> Meaning | None:
    """An ``Event:`` line (v50.0 on) says what the event monitor's JSON says."""
    match = _EVENT.fullmatch(message)
    if match is None:
        return None
    event = EVENTS.get((match[1], match[2]))
    if event is None:
        return None
    values = event.values(dict(_PROPERTY.findall(match[3])))
    return Meaning(kind=event.kind, values=values, releases=event.releases & _V50 or _V50)

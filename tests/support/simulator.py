"""A simulator of migrations between two hosts whose clocks are known: what happened when, and what both logs say.

Every event has a true time. Each host reads it on a clock of its own, with an offset, a drift, and a slew in the middle
of the migration; the logs print those readings as the hypervisor would. The protocol is played step by step, so all
that must happen before something else does.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from simulated_host import WALL_ZERO, Clock, Host, duration, since_start, wallclock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from simulated_host import Record

__all__ = ["Setup", "Simulated", "simulate"]

_US: Final = 10**3
_MS: Final = 10**6
_S: Final = 10**9
_PPB: Final = 10**9
_LATENCY_NS: Final = 30 * _US
_QUEUEING_NS: Final = 25 * _US
_MERGING_US: Final = (20, 200)
"""From the dirty log's last line to the request: the devices' dirty pages are merged in."""
_LONGEST_LAST_PASS_NS: Final = 250 * _MS
_ROUNDS: Final = 5
"""v36.0-v51.0 read the dirty log at most so often before they stop the guest."""
_URL: Final = "tcp:192.0.2.20:4444"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What kind of migration, and what kind of clocks."""

    release: int = 53
    """48, 51, 52 or 53."""
    verbosity: int = 2
    """How many times ``-v`` was given."""
    copying_s: int = 30
    """How long memory is copied while the guest runs."""
    wall: bool = True
    """Stamps are wall clocks with microseconds (v52.0 on); else seconds since each process began."""
    uptime_s: int = 5
    """How long the source's process has been running."""
    drift_ppm: int = 20
    """The two clocks' rates differ by no more than this."""
    slew_ppm: int = 0
    """For some time during the migration they differ by so much more."""
    slew_s: int | None = None
    """For how long, in the middle of the copying; None: for a random time."""
    form: Callable[[Record], str] | None = None
    """How wall clocks are printed, if not with microseconds."""
    step_ms: int = 0
    """While memory is copied, a wall clock is set by so much, on or back."""
    steps_source: bool = False
    """Whose: the source's, or else the destination's."""
    events: bool = False
    """Whether the processes also write event streams."""
    probes: int = 0
    """How many timed exchanges between the hosts there are before the migration, and again after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The logs, and the truth behind them."""

    source_log: bytes
    destination_log: bytes
    started_ns: int
    """The source's clock when Start was acknowledged."""
    stopped_ns: int
    """The source's clock when the guest's vCPUs stopped."""
    """The source's clock when it noted that the migration is complete."""
    offset_ns: int
    """Destination minus source at that instant."""
    blackout_ns: int
    """On the source's clock."""
    transfer_ns: int
    """From the first byte of the state that was written to the last one that was read, on the source's clock."""
    offsets: tuple[tuple[int, int], ...]
    """The source's clock and the offset, at many instants from the request to the end."""
    stepped_at: int
    """The true time at which a clock was set."""
    line_times: Mapping[str, tuple[int, ...]]
    """The true time of every line, by the log's name."""
    probes: str
    """The exchanges, ``t1 t2 t3 t4`` a line."""
    source_events: bytes
    destination_events: bytes


# --- two clocks --------------------------------------------------------------------------------------------------


def _clocks(setup: Setup, pick: random.Random) -> tuple[Clock, Clock]:
    """The source's and the destination's clock; true time 0 is the migration's request."""
    most = setup.drift_ppm * 500  # half each, in ppb, and a little less as the source's second is the unit
    most -= most // 500
    rates = pick.randint(-most, most), pick.randint(-most, most)
    begin = pick.randint(0, setup.copying_s * _S)
    end = begin + pick.randint(0, setup.copying_s * _S)
    if setup.slew_s is not None:
        begin = (setup.copying_s - setup.slew_s) * _S // 2
        end = begin + setup.slew_s * _S
    slew = pick.choice((-1, 1)) * (setup.slew_ppm * 1_000 - setup.slew_ppm)
    uptime, young = setup.uptime_s * _S + pick.randint(0, 10 * _S), pick.randint(2 * _S, 8 * _S)
    if _on_wall_clocks(setup):
        uptime = pick.randint(0, 10 * _S)
        young = uptime + pick.randint(-10 * _S, 10 * _S)
    at = pick.randint(0, setup.copying_s * _S * 9 // 10) if setup.step_ms else 0  # not when all is over
    by = [setup.step_ms * _MS if on_source is setup.steps_source else 0 for on_source in (True, False)]
    slewed = ((0, rates[1]), (begin, rates[1] + slew), (end, rates[1]))
    return (
        Clock(zero_ns=uptime, rates=((0, rates[0]),), set_at=at, set_by=by[0]),
        Clock(zero_ns=young, rates=slewed if setup.slew_ppm else slewed[:1], set_at=at, set_by=by[1]),
    )


def _on_wall_clocks(setup: Setup) -> bool:
    return setup.wall and setup.release >= 52


def _form(setup: Setup) -> Callable[[Record], str]:
    if _on_wall_clocks(setup):
        return setup.form or wallclock
    return duration if setup.release <= 48 else since_start


# --- one migration -----------------------------------------------------------------------------------------------

_LINES: Final = {
    48: (2278, 2146, 1210, 1252),
    51: (2314, 2266, 1344, 1386),
    52: (2567, 2506, 1387, 1538),
    53: (3119, 3007, 1538, 1748),
}
"""Where in ``vmm/src/lib.rs``: sending, receiving, the end of a memory iteration, completed."""
_VM_CONFIG: Final = (
    "Booting VM from config: Mutex { data: VmConfig { cpus: CpusConfig { boot_vcpus: 2, max_vcpus: 2, topology: None, "
    "kvm_hyperv: false }, memory: MemoryConfig { size: 1073741824, mergeable: false, shared: false }, "
    "payload: None }, poisoned: false, .. }"
)
_MEMORY_MIB: Final = 1024
_TARGET_MS: Final = 300


@dataclass(slots=True, kw_only=True)
class _Run:
    """A migration in progress: ``now`` is where the one thread of control is, on whichever host."""

    setup: Setup
    pick: random.Random
    source: Host
    destination: Host
    now: int = 0
    running_iterations: int = 0
    hasty: bool = False
    """The source connects before the destination has said that it listens."""
    marks: dict[str, int] = field(default_factory=dict)
    """True times that are needed later."""

    @property
    def release(self) -> int:
        """The release that both hosts run."""
        return self.setup.release

    # time

    def spends(self, least_us: float, most_us: float) -> int:
        """Something takes a while; returns when it is over."""
        self.now += self.pick.randint(round(least_us * _US), round(most_us * _US))
        return self.now

    def latency(self) -> int:
        """One way between the hosts, wake-up included."""
        return _LATENCY_NS + round(self.pick.expovariate(1 / _QUEUEING_NS))

    def travels(self) -> None:
        """A header is written here and read there."""
        self.now += self.latency()

    def mark(self, name: str) -> None:
        """Remember this instant."""
        self.marks[name] = self.now

    # logs

    @property
    def worker(self) -> str:
        """The source's thread that migrates."""
        return "migration-worker" if self.release >= 53 else "vmm"

    def line(self, which: int) -> str:
        """A place in the main file."""
        return f"vmm/src/lib.rs:{_LINES[self.release][which]}"

    @property
    def transport(self) -> str:
        """The file that opens connections."""
        if self.release <= 51:
            return "vmm/src/lib.rs"
        return "vmm/src/migration/transport.rs" if self.release >= 53 else "vmm/src/migration_transport.rs"

    def s(self, level: str, location: str, message: str, thread: str | None = None) -> None:
        """The source logs."""
        self.source.say(self.now, level, location, message, thread or self.worker)

    def d(self, level: str, location: str, message: str, thread: str = "vmm") -> None:
        """The destination logs."""
        self.destination.say(self.now, level, location, message, thread)

    def s_event(self, name: str, said: str = "") -> None:
        """The source fires an event."""
        self.source.event(self.now, name, self.worker, said=said)

    def d_event(self, name: str) -> None:
        """The destination fires an event."""
        self.destination.event(self.now, name)

    def received(self, command: str) -> None:
        """The destination has read the header of a request."""
        if self.release <= 49:
            self.d("INFO", "vmm/src/lib.rs:2147", f"{command} Command Received")
        elif self.release <= 52:
            self.d("TRACE", "vmm/src/lib.rs:2276", f"Command {command} received")
        else:
            self.d("DEBUG", "vmm/src/lib.rs:3040", f"Command '{command}' received")

    def cpuid(self, say: Callable[[str, str, str], None]) -> None:
        """CPUID is generated."""
        words = "with" if self.release >= 53 else "for with"
        say("INFO", "arch/src/x86_64/mod.rs:619", f"Generating guest CPUID {words} physical address size: 46")

    def table(self, *, empty: bool) -> None:
        """The source has read the dirty log of its one memory slot."""
        level, file = ("INFO" if self.release <= 51 else "DEBUG"), "vmm/src/memory_manager.rs"
        if empty:
            self.s(level, f"{file}:2786", "Dirty Memory Range Table is empty")
            return
        self.s(level, f"{file}:2788", "Dirty Memory Range Table:")
        for address, kib in (("1000", 2048), ("5f40000", 4096)):
            self.spends(2, 8)
            self.s(level, f"{file}:2790", f"GPA: {address} size: {kib} (KiB)")

    # phases

    def begins_long_before(self) -> None:
        """Both processes start; the source boots the guest."""
        for host in (self.source, self.destination):
            born = host.born
            if self.release >= 52:
                location = "cloud-hypervisor/src/main.rs:631"
                host.say(born + 4 * _MS, "INFO", location, f"v{self.release}.0 starting", "main")
            host.event(born + 9 * _MS, "starting", "main", source="vmm")
        born = self.source.born
        self.source.say(born + 20 * _MS, "INFO", "vmm/src/vm.rs:606", _VM_CONFIG)
        self.source.event(born + 21 * _MS, "booting")
        self.source.event(born + 48 * _MS, "booted")

    def requested(self) -> None:
        """Both API calls arrive; the destination listens."""
        receive = f'VmReceiveMigrationData {{ receiver_url: "tcp:0.0.0.0:4444"{self.tail_of_request()} }}'
        url = "receiver_url=tcp:0.0.0.0:4444,tls=false" if self.release >= 53 else "receiver_url = tcp:0.0.0.0:4444"
        self.hasty = self.pick.random() < 0.2
        early = self.now - (1 if self.hasty else 400) * _MS
        api = f"API request event: VmReceiveMigration {receive}"
        self.destination.say(early, "INFO", "vmm/src/api/mod.rs:1483", api)
        self.destination.say(early + 200 * _US, "INFO", self.line(1), f"Receiving migration: {url}")
        if not self.hasty:
            self.ready(early + 500 * _US)
        send = (
            f'VmSendMigrationData {{ destination_url: "{_URL}", local: false{self.limits()}{self.tail_of_request()} }}'
        )
        self.s("INFO", "vmm/src/api/mod.rs:1736", f"API request event: VmSendMigration {send}", "vmm")
        self.spends(20, 100)
        self.s("INFO", self.line(0), f"Sending migration: {self.sending()}", "vmm")
        self.spends(50, 300)
        if self.release >= 52:
            self.s_event("migration-started")

    def ready(self, true_ns: int) -> None:
        """The destination says that it listens, which it has done for a moment."""
        if self.release >= 53:
            self.destination.event(true_ns, "migration-receive-ready")

    def limits(self) -> str:
        """What the request says of its limits."""
        if self.release <= 51:
            return ""
        return f", downtime_ms: {_TARGET_MS}, timeout_s: 3600, timeout_strategy: Cancel, connections: 1"

    def tail_of_request(self) -> str:
        """What v53.0 adds to both requests."""
        return ", tls_dir: None, memory_mode: Precopy" if self.release >= 53 else ""

    def sending(self) -> str:
        """The source's first line of the migration."""
        if self.release <= 51:
            return f"destination_url = {_URL}, local = false"
        tls = ",tls=false" if self.release >= 53 else ""
        limits = f"downtime={_TARGET_MS}ms,timeout=3600s,timeout_strategy=Cancel"
        return f"destination_url={_URL},local=false{tls},{limits}"

    def starts(self) -> None:
        """Connect, accept, and Start with its answer."""
        self.spends(5, 20)
        self.mark("connecting")
        self.s("INFO", f"{self.transport}:1037", f"Connecting to TCP socket at {_URL.removeprefix('tcp:')}")
        self.spends(1, 3)
        connected = self.now + self.latency() + self.latency()
        start_arrives = connected + self.pick.randint(2 * _US, 6 * _US) + self.latency()
        if self.hasty:
            self.ready(connected)
        self.now = connected + self.latency()
        if self.release >= 52:
            self.spends(1, 4)
            self.d_event("migration-receive-started")
        self.now = max(self.now + 3 * _US, start_arrives)
        self.received("Start")
        self.spends(1, 4)
        if self.release >= 53:
            self.d("DEBUG", "vmm/src/lib.rs:1015", "Using migration protocol 0")
            self.spends(1, 3)
        self.travels()
        self.spends(1, 3)
        self.mark("started")
        if self.release >= 53:
            self.s("DEBUG", "vmm/src/lib.rs:1572", "Using migration protocol 0")
            self.spends(10, 60)

    def configures(self) -> None:
        """Config with its answer."""
        self.spends(100, 600)
        self.cpuid(self.s)
        self.spends(300, 2500)
        self.travels()
        self.received("Config")
        self.spends(300, 900)
        self.cpuid(self.d)
        self.spends(300, 2500)
        self.d("INFO", "arch/src/x86_64/mod.rs:591", "No CPU incompatibility detected.")
        self.spends(200, 900)
        mapped = "RAM region mapping" if self.release >= 51 else "Anonymous mapping"
        self.d("INFO", "vmm/src/memory_manager.rs:2154", f"{mapped} at 0x7f3a40000000 (size = 0x40000000)")
        self.spends(100, 500)
        self.travels()
        self.spends(200, 1000)
        self.mark("copying")

    def transfers(self, nanoseconds: int) -> None:
        """One Memory request with its answer."""
        self.mark("transfer")
        self.travels()
        self.received("Memory")
        self.now += nanoseconds
        self.travels()
        self.spends(1, 5)

    def copies(self) -> None:
        """The running iterations, and the decision to stop."""
        iterations = self.iterations()
        if self.release <= 51:
            self.copies_in_rounds(iterations)
            return
        self.transfers(iterations[0])
        self.iterated(0)
        for index, length in enumerate(iterations[1:], 1):
            self.spends(300, 10_000)
            self.table(empty=False)
            self.spends(*_MERGING_US)
            self.transfers(length)
            self.iterated(index)
        self.spends(300, 10_000)
        self.table(empty=False)
        self.spends(10, 50)
        decision = f"Precopy: Target downtime can be met: 15ms <= {_TARGET_MS}ms"
        self.s("DEBUG", "vmm/src/lib.rs:1453", decision)
        self.spends(5, 20)
        self.s("DEBUG", "vmm/src/lib.rs:1373", f"Precopy converged: {self.figures(len(iterations))}")
        self.running_iterations = len(iterations)
        self.spends(5, 20)

    def copies_in_rounds(self, iterations: list[int]) -> None:
        """The same until v51.0: numbered readings of the dirty log."""
        self.transfers(iterations[0])
        for index in range(_ROUNDS):
            self.s("INFO", self.line(2), f"Dirty memory migration {index} of 5")
            self.spends(300, 10_000)
            last = index + 1 >= len(iterations)
            self.table(empty=last)
            self.spends(*_MERGING_US)
            if last:
                return
            self.transfers(iterations[index + 1])

    def iterations(self) -> list[int]:
        """How long each running iteration takes; each leaves a smaller share to the next."""
        share = self.pick.uniform(0.05, 0.2)
        lengths, left = [], round(self.setup.copying_s * _S * (1 - share))
        while left > _LONGEST_LAST_PASS_NS:
            lengths.append(left)
            left = round(left * share)
        return lengths

    def iterated(self, index: int) -> None:
        """A running iteration was acknowledged."""
        self.s("DEBUG", "vmm/src/lib.rs:1384", f"Precopy: {self.figures(index)}")
        self.spends(5, 30)
        self.s_event("migration-memory-iteration", said=f"id = {index}")

    def figures(self, index: int) -> str:
        """What is printed of an iteration."""
        elapsed = (self.now - self.marks["copying"]) / _S
        seconds = (self.now - self.marks["transfer"]) / _S
        size = _MEMORY_MIB if index == 0 else 6
        total = _MEMORY_MIB + 6 * index
        return (
            f"iter={index} curr={size}MiB total={total}MiB bw={size / seconds:.2f}MiB/s transfer={seconds:.2f}s "
            f"overhead=1ms est_downtime=15ms elapsed={elapsed:.2f}s avg_bw={total / elapsed:.2f}MiB/s"
        )

    def stops_the_guest(self) -> None:
        """Pause, and what was still dirty."""
        self.mark("downtime")
        self.spends(2, 10)
        self.s_event("pausing")
        self.spends(150, 900)
        self.mark("stopped")
        self.spends(50, 300)
        for device in ("block", "net"):
            self.s("INFO", "virtio-devices/src/device.rs:457", f"Pausing virtio-{device}")
            self.spends(50, 400)
        self.s_event("paused")
        self.mark("final")
        self.spends(300, 3_000)
        self.table(empty=False)
        self.spends(*_MERGING_US)
        self.transfers(self.pick.randint(5 * _MS, 60 * _MS))
        self.mark("final sent")
        if self.release >= 52:
            self.s("INFO", self.line(2), f"Precopy complete: {self.figures(self.running_iterations + 1)}")
        self.spends(50, 400)

    def takes_the_snapshot(self) -> None:
        """The state, and v53.0's last look at the dirty log."""
        self.mark("state")
        self.spends(1, 5)
        self.s_event("snapshotting")
        self.spends(200, 900)
        self.cpuid(self.s)
        self.spends(2_000, 9_000)
        self.s_event("snapshotted")
        if self.release >= 53:
            self.spends(100, 900)
            self.table(empty=True)
            self.spends(5, 30)

    def sends_the_state(self) -> None:
        """State with its answer."""
        self.mark("send")
        self.spends(1_000, 6_000)
        self.mark("state written")
        self.travels()
        self.received("State")
        self.mark("state header")
        if self.release >= 52:
            level, thread = ("INFO" if self.release == 52 else "DEBUG"), "migrate-receive-accept-connections"
            message = "Stopped accepting additional connections. Cleaning up threads."
            self.destination.say(self.now + 60 * _US, level, f"{self.transport}:387", message, thread)
        received = self.spends(1_500, 5_000)
        self.mark("state arrived")
        self.d("INFO", "vmm/src/vm.rs:606", _VM_CONFIG)
        self.spends(300, 1_500)
        self.cpuid(self.d)
        self.spends(4_000, 12_000)
        self.d_event("restoring")
        self.spends(3_000, 10_000)
        self.d_event("restored")
        self.spends(5, 40)
        self.timed("recv_snapshot", self.marks["state header"], received, f" restore:{self.lap(received)}ms")
        self.spends(5, 30)
        self.travels()
        self.spends(1, 5)

    def lap(self, begin_ns: int) -> int:
        """What the destination's stopwatch shows since then."""
        return self.destination.elapsed_ms(begin_ns, self.now)

    def timed(self, name: str, begin_ns: int, end_ns: int, more: str = "") -> None:
        """The destination prints how long something took."""
        if self.release >= 52:
            message = f"Migration (incoming): {name}:{self.destination.elapsed_ms(begin_ns, end_ns)}ms{more}"
            self.d("DEBUG", "vmm/src/lib.rs:1135", message)

    def completes(self) -> None:
        """Complete: the destination runs the guest and says so."""
        self.mark("complete")
        self.spends(2, 15)
        self.travels()
        self.received("Complete")
        begin = self.spends(5, 30)
        self.d_event("resuming")
        if self.release <= 51:
            self.spends(20, 200)
            self.mark("running")
        self.spends(100, 600)
        for device in ("block", "net"):
            self.d("INFO", "virtio-devices/src/device.rs:485", f"Resuming virtio-{device}")
            self.spends(50, 500)
        if self.release >= 52:
            self.spends(50, 400)
            self.mark("running")
            self.spends(10, 100)
        self.d_event("resumed")
        self.spends(3, 15)
        self.timed("resume", begin, self.now)
        self.spends(2, 10)
        if self.release >= 52:
            message = f"Receiving final state and resuming the VM took {self.lap(self.marks['state header'])}ms"
            self.d("DEBUG", "vmm/src/lib.rs:1079", f"Migration (incoming): {message}")
        self.spends(2, 15)
        if self.release >= 52:
            late = self.pick.randint(3 * _US, 500 * _US)  # the answer is on its way, nothing orders this any more
            self.destination.event(self.now + late, "migration-receive-finished")
        self.travels()
        self.spends(1, 5)
        self.mark("acknowledged")

    def notes_the_end(self) -> None:
        """The source's last words; now and then its thread has to wait first."""
        self.spends(1, 10)
        if self.pick.random() < 0.05:
            self.spends(100, 5_000)
        if self.release <= 51:
            self.spends(100, 1_000)  # the dirty log is stopped first
            self.mark("completed")
            self.s("INFO", self.line(3), "Migration complete")
        else:
            self.mark("completed")
            self.s("INFO", self.line(3), self.summary())
            self.spends(3, 20)
            self.s("DEBUG", "vmm/src/lib.rs:1754", self.breakdown())
            self.spends(500, 3_000)
            self.s_event("migration-finished")
        self.spends(300, 2_000)
        self.s("INFO", "vmm/src/lib.rs:2080", "VM exit event", "vmm")

    def took(self, begin: str, end: str) -> int:
        """What the source's stopwatch shows between two marks."""
        return self.source.elapsed_ms(self.marks[begin], self.marks[end])

    def summary(self) -> str:
        """The completion line."""
        total = self.took("connecting", "acknowledged") / 1000
        downtime = self.took("downtime", "acknowledged")
        return f"Migration completed after {total:.1f}s with a downtime of {downtime}ms (goal was {_TARGET_MS}ms)"

    def breakdown(self) -> str:
        """The line after it."""
        final, state = self.took("final", "final sent"), self.took("state", "send")
        send, complete = self.took("send", "complete"), self.took("complete", "acknowledged")
        parts = f"final_iter:{final}ms state:{state}ms send_state:{send}ms complete:{complete}ms"
        return f"Downtime breakdown: {self.took('downtime', 'acknowledged')}ms ({parts})"

    def plays(self) -> None:
        """All of it."""
        self.begins_long_before()
        self.requested()
        self.starts()
        self.configures()
        self.copies()
        self.stops_the_guest()
        self.takes_the_snapshot()
        self.sends_the_state()
        self.completes()
        self.notes_the_end()


def _exchanges(run: _Run, zero_ns: int, begin: int) -> Iterator[str]:
    """Timed exchanges between the hosts, a line each."""
    run.now = begin
    for _ in range(run.setup.probes):
        sent = run.source.clock.read(run.spends(100, 300))
        run.travels()
        received, answered = run.destination.clock.read(run.now), run.destination.clock.read(run.spends(2, 20))
        run.travels()
        yield " ".join(str(zero_ns + each) for each in (sent, received, answered, run.source.clock.read(run.now)))


def simulate(setup: Setup, seed: int) -> Simulated:
    """One migration; the same seed gives the same."""
    pick = random.Random(seed)
    wall = _on_wall_clocks(setup)
    source, destination = (
        Host(
            clock=clock,
            release=setup.release,
            verbosity=setup.verbosity,
            form=_form(setup),
            born=-_S if wall else clock.zero_at(),
        )
        for clock in _clocks(setup, pick)
    )
    run = _Run(setup=setup, pick=pick, source=source, destination=destination)
    run.plays()
    zero_ns = round(WALL_ZERO.timestamp() * _MS) * _US if wall else 0
    read, passed, marks = source.clock.read, source.clock.passed, run.marks
    end = run.now
    instants = sorted({*marks.values(), *range(0, end, end // 16)})
    probes = "\n".join((*_exchanges(run, zero_ns, -10 * _MS), *_exchanges(run, zero_ns, end + _MS)))
    return Simulated(
        source_log=source.log(),
        destination_log=destination.log(),
        started_ns=zero_ns + read(marks["started"]),
        stopped_ns=zero_ns + read(marks["stopped"]),
        offset_ns=destination.clock.read(marks["completed"]) - read(marks["completed"]),
        blackout_ns=passed(marks["running"]) - passed(marks["stopped"]),
        transfer_ns=passed(marks["state arrived"]) - passed(marks["state written"]),
        offsets=tuple((zero_ns + read(at), destination.clock.read(at) - read(at)) for at in instants),
        stepped_at=source.clock.set_at,
        line_times={
            name: tuple(sorted(at for at, _ in host.records))
            for name, host in (("source.log", source), ("destination.log", destination))
        },
        probes=probes,
        source_events=source.events(),
        destination_events=destination.events(),
    )

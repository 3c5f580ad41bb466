"""What it costs to follow logs, and how soon it is known what is in them: `otelmig watch` beside others.

Those are `tail -F` and, where `--collector` names one (`tests/backends/build.py` makes it), a Collector with the
shipped live.yaml. Prints, each with its bar: CPU while 1 000 logs are followed that nobody writes to, and with 100
lines a second; the memory; the seconds from a migration's last line to its spans at a receiver, and from the death of
a hypervisor to the event that says that its log was closed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from backends.log_receiver import log_receiver
from otlp_receiver import http_receiver
from replay import Playback, Player, steps_of
from trace_invariants import CORPUS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOGS: Final = 1000
_RATE: Final = 100
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WATCH: Final = "otelmig watch"
_TAIL: Final = "tail -F"
_COLLECTOR: Final = "Collector, live.yaml"
_LIVE: Final = Path(__file__).parents[1] / "collector-config" / "live.yaml"
_LAST_WORDS: Final = (b"migration-finished", b"migration-receive-finished")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What following logs costs: prints each figure with its bar.")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which each load lasts (default: 20)")
    parser.add_argument("--migrations", type=int, default=20, metavar="N", help="played for the delay (default: 20)")
    parser.add_argument("--collector", type=Path, metavar="BINARY", help="a Collector to measure, too")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
    for name in (_WATCH, _TAIL):
        _cost(name, given.seconds, None)
    if given.collector is not None:
        _cost(_COLLECTOR, given.seconds, given.collector)
    _delays(given.migrations)


def _command(name: str, folder: Path, paths: Sequence[Path], collector: Path | None, url: str) -> list[str]:
    """Return what follows the logs, and keeps what it needs in the folder."""
    if name == _TAIL:
        return ["tail", "-q", "-F", *map(str, paths)]
    if collector is None:
        return [sys.executable, "-m", "otelmig", "watch", str(folder / "logs"), "--state", str(folder / "state")]
    text = _LIVE.read_text("utf-8")
    for shipped, own in (
        ("/var/log/cloud-hypervisor", folder / "logs"),
        ("/var/lib/otelcol-otelmig-live", folder / "storage"),
        ("http://127.0.0.1:4319", url),
    ):
        if shipped not in text:
            raise SystemExit(f"{_LIVE}: no {shipped}")
        text = text.replace(shipped, str(own))
    (folder / "live.yaml").write_text(text, "utf-8")
    return [str(collector), "--feature-gates=stanza.synchronousLogEmitter", f"--config={folder / 'live.yaml'}"]


def _cost(name: str, seconds: float, collector: Path | None) -> None:
    """Print the CPU and the memory of one follower."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        (folder / "logs").mkdir()
        receiver = stack.enter_context(log_receiver())
        log = (CORPUS / "v53.0-basicv" / "source.log").read_bytes()
        paths = [folder / "logs" / f"vm{number}.log" for number in range(_LOGS)]
        files = []
        for path in paths:
            files.append(stack.enter_context(path.open("wb", buffering=0)))
            files[-1].write(b"".join(log.splitlines(keepends=True)[:40]))
        command = _command(name, folder, paths, collector, receiver.url)
        follower = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(10)
            idle = _share(follower.pid, seconds, lambda: None)
            busy = _share(follower.pid, seconds, lambda: random.choice(files).write(_ordinary()))
            lines = log.splitlines(keepends=True)[40:60]
            worst = _share(follower.pid, seconds, lambda: random.choice(files).write(random.choice(lines)))
            memory = _memory(follower.pid)
        finally:
            follower.terminate()
            follower.wait()
    print(
        f"{name}: idle {idle:.2%} of a core (bar 1 %), {_RATE} lines/s {busy:.2%} (bar 2 %), each of a migration of "
        f"its own {worst:.2%}, {memory} MB (bar 150)"
    )


def _ordinary() -> bytes:
    """Return a line that says nothing of a migration."""
    return b"cloud-hypervisor: %.6fs: <_disk0_q0> INFO:virtio-devices/src/block.rs:600 -- done\n" % time.monotonic()


def _share(pid: int, seconds: float, write: Callable[[], object]) -> float:
    """Return the share of a core that a process takes while lines are written at the rate."""
    before, began = _cpu(pid), time.monotonic()
    written = 0
    while (elapsed := time.monotonic() - began) < seconds:
        while written < elapsed * _RATE:
            write()
            written += 1
        time.sleep(0.005)
    return (_cpu(pid) - before) / (time.monotonic() - began)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1000


def _delays(count: int) -> None:
    """Print how soon a trace is there, and how soon a death is noticed."""
    with tempfile.TemporaryDirectory() as place, http_receiver() as receiver:
        folder = Path(place)
        (folder / "logs").mkdir()
        command = [sys.executable, "-m", "otelmig", "watch", str(folder / "logs"), "--state", str(folder / "state")]
        command += ["--otlp", receiver.url, "--json"]
        events = folder / "events"
        with events.open("wb") as out:
            watcher = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        try:
            time.sleep(2)
            delays = [_delay(folder / "logs", number, lambda: len(receiver.spans)) for number in range(count)]
            deaths = [_death(folder / "logs", number, events) for number in range(count)]
        finally:
            watcher.terminate()
            watcher.wait()
    print(f"last line -> span: p50 {median(delays):.2f} s (bar 0.7 s), longest {max(delays):.2f} s; {count} times")
    print(f"death -> event: p50 {median(deaths):.3f} s, longest {max(deaths):.3f} s (bar 0.1 s); {count} times")


def _delay(logs: Path, number: int, spans: Callable[[], int]) -> float:
    playback = Playback(
        begin_ns=time.time_ns() + number * 60 * 10**9,
        speed=10.0,
        names={role: f"vm{number}-{role}" for role in ("source", "destination")},
    )
    steps = steps_of(CORPUS / "v53.0-wallclock", dict.fromkeys(("source", "destination"), logs), playback)
    last = max(index for index, step in enumerate(steps) if any(word in step.data for word in _LAST_WORDS))
    before = spans()
    player = Player()
    time.sleep(random.random() / 10)
    player.play(steps[: last + 12])
    ended = time.monotonic()
    _until(lambda: spans() > before)
    delay = time.monotonic() - ended
    player.close()
    return delay


def _death(logs: Path, number: int, events: Path) -> float:
    code = "import sys, time; f = open(sys.argv[1], 'wb', 0); f.write(b'line\\n'); print(flush=True); time.sleep(60)"
    path = logs / f"dies{number}.log"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as victim:
        (victim.stdout or sys.stdin.buffer).readline()
        time.sleep(0.3 + random.random() / 10)
        died = time.monotonic()
        victim.kill()
        _until(lambda: any(_closes(line, path.name) for line in events.read_bytes().splitlines()[-4:]))
        return time.monotonic() - died


def _closes(line: bytes, name: str) -> bool:
    event = json.loads(line) if line.endswith(b"}") else {}
    return (event.get("event"), event.get("log")) == ("closed", name)


def _until(is_so: Callable[[], bool], seconds: Sequence[float] = (0.001,) * 30_000) -> None:
    for each in seconds:
        if is_so():
            return
        time.sleep(each)
    raise SystemExit("nothing came")


if __name__ == "__main__":
    main()

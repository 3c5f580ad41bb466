"""What announcing costs a program: the import, and each migration; CPU time, the median of several runs.

The import is compared with that of OpenTelemetry's API, each in a process of its own, by turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from time import process_time

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from otelmig.instrument import migration

_RUNS = 15
_BAR_MS = 60
_ROUNDS = 2_000
_API = "opentelemetry.trace, opentelemetry.metrics, opentelemetry._logs"
_OURS = "otelmig.instrument"


def _import_ms(names: str) -> float:
    """CPU time of a process that imports ``names``."""
    code = f"import {names}; from time import process_time; print(process_time())"
    return float(subprocess.check_output([sys.executable, "-c", code])) * 1000


def _each_us(**providers: TracerProvider | LoggerProvider | MeterProvider) -> float:
    """CPU time of one migration that is announced and returns."""
    begin = process_time()
    for _ in range(_ROUNDS):
        with migration(destination_url="tcp:192.0.2.20:4444", vm_id="7", **providers):  # type: ignore[arg-type] # one of each
            pass
    return (process_time() - begin) / _ROUNDS * 1e6


def main() -> None:
    """Measure and print."""
    pairs = [(_import_ms(_API), _import_ms(_OURS)) for _ in range(_RUNS)]
    api, ours = (statistics.median(values) for values in zip(*pairs, strict=True))
    more = statistics.median(second - first for first, second in pairs)
    verdict = "met" if more <= _BAR_MS else "MISSED"
    print(
        f"import: the API {api:.0f} ms, otelmig.instrument {ours:.0f} ms: {more:.0f} ms more ({_BAR_MS} ms: {verdict})"
    )
    print(f"a migration without an SDK: {_each_us():.0f} us")
    sdk = {"tracer_provider": TracerProvider(), "logger_provider": LoggerProvider(), "meter_provider": MeterProvider()}
    print(f"with the SDK, exporters aside: {_each_us(**sdk):.0f} us")  # type: ignore[arg-type] # the same


if __name__ == "__main__":
    main()

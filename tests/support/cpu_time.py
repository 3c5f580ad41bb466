"""A pytest plugin that prints which tests take most CPU time; `benchmarks/suite.py` runs the tests with it.

CPU time is that of the process of a test and of every process that it started and waited for, so that it hardly
depends on what else the machine does. A fixture that tests share counts for the first of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from fork_server import forked_cpu_s

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST: Final = 10
_PROPERTY: Final = "cpu_s"
_BEFORE: Final = pytest.StashKey[float]()
_TABLE: Final = "OTELMIG_CPU_TIME"
"""The variable that names a file for the times of all tests."""


class CpuTime:
    """The CPU time of each test, taken where it runs and gathered where it is reported."""

    def __init__(self) -> None:
        self.by_test: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Remember what was used before the test's fixtures were made."""
        item.stash[_BEFORE] = _cpu_s()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Send what was used since then along with the last report of the test."""
        if call.when == "teardown":
            item.user_properties.append((_PROPERTY, _cpu_s() - item.stash[_BEFORE]))
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what a test used."""
        if report.when == "teardown":
            used = [float(str(value)) for name, value in report.user_properties if name == _PROPERTY]
            self.by_test[report.nodeid] = sum(used)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the sum and the tests that take most; write all of them to the file that the environment names."""
        rows = [f"{cpu_s:7.2f} s  {test}" for test, cpu_s in sorted(self.by_test.items(), key=lambda item: -item[1])]
        terminalreporter.write_line(f"{sum(self.by_test.values()):.0f} s of CPU time in {len(rows)} tests, most in:")
        terminalreporter.write_line("\n".join(rows[:_MOST]))
        if _TABLE in os.environ:
            Path(os.environ[_TABLE]).write_text("".join(f"{row}\n" for row in rows))


def _cpu_s() -> float:
    """Return what this process used, and every process that it started and waited for, in seconds."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system + forked_cpu_s()


def pytest_configure(config: pytest.Config) -> None:
    """Add the plugin's hooks."""
    config.pluginmanager.register(CpuTime())

"""Collector, Jaeger, Tempo and Prometheus for tests: built once, on free ports, their logs shown if a test fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backends.backend_stack import BackendStack
from backends.build import NO_GO, RECIPES, find_go
from backends.kafka_broker import NO_JAVA, find_java, resolved

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    """``otelcol``, ``jaeger``, ``tempo``, ``promqltest``; without Go there are none: a failure where CI is set."""
    built = {recipe.name: recipe.binary() for recipe in RECIPES}
    if all(binary.exists() for binary in built.values()):
        return built
    go = find_go()
    if go is None:
        if os.environ.get("CI"):
            pytest.fail(NO_GO)
        pytest.skip(NO_GO)
    return {recipe.name: recipe.build(go) for recipe in RECIPES}


@pytest.fixture(scope="session")
def kafka() -> tuple[Path, str]:
    """``java`` and the class path of a broker; without Java or Maven there is none: a failure where CI is set."""
    found = find_java()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(NO_JAVA)
        pytest.skip(NO_JAVA)
    java, maven = found
    return java, resolved(maven)


@pytest.fixture
def stack(tmp_path: Path, binaries: dict[str, Path]) -> Iterator[BackendStack]:
    """A machine of the test's own."""
    stack = BackendStack(tmp_path, binaries)
    try:
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory, binaries: dict[str, Path]) -> Iterator[BackendStack]:
    """A machine that the tests of a module share."""
    stack = BackendStack(tmp_path_factory.mktemp("stack"), binaries)
    try:
        yield stack
    finally:
        stack.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers wrote beside what failed."""
    report = yield
    if report.failed:
        for stack in (item.funcargs.get(name) for name in ("stack", "shared_site")):
            if isinstance(stack, BackendStack):
                report.sections += [(f"end of {name}", text) for name, text in stack.logs()]
    return report

"""What viewers are given names only what there is: configurations, dashboards, and the queries of the documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from document_parts import REPOSITORY
from queries import JAEGER_LINKS, TRACEQL

from otelmig.otlp.telemetry.names import METRICS
from otelmig.trace.attributes import ATTRIBUTES
from otelmig.trace.spans import EventName

if TYPE_CHECKING:
    from pathlib import Path

_FOLDERS: Final = ("collector-config", "dashboards", "examples")
_FILES: Final = sorted(
    path
    for folder in _FOLDERS
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in (".json", ".yaml") and path.is_file()
)
_NAMES: Final = frozenset({row.name for row in ATTRIBUTES} | set(EventName))
_UNITS: Final = {"s": "_seconds"}
_SUFFIXES: Final = {"counter": "_total", "histogram": "_bucket"}
_METRICS: Final = frozenset(
    f"{row.name.replace('.', '_')}{_UNITS.get(row.unit, '')}{_SUFFIXES.get(row.instrument, '')}" for row in METRICS
)
"""The metrics of the live service, as Prometheus calls them."""
_LABELS: Final = frozenset(name.replace(".", "_") for name in _NAMES) | _METRICS
_NAME: Final = re.compile(r"(?<![\w./-])(?:span\.|resource\.)?((?:vm\.|otelmig\.|cloud_hypervisor\.)[\w.]+)")
_LABEL: Final = re.compile(r"(?<![\w:])(?:client_|server_)?(vm_migration_\w+|otelmig_\w+)(?![\w:])")


def _unknown(text: str) -> list[str]:
    """Names of attributes in a text, and labels made of them, that no trace has; a prefix of names stands for them."""
    prefixes = [f"{name}." for name in _NAME.findall(text) if name not in _NAMES]
    unknown = [prefix for prefix in prefixes if not any(name.startswith(prefix) for name in _NAMES)]
    return unknown + [label for label in _LABEL.findall(text) if label not in _LABELS]


@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_for_viewers_name_what_traces_have(path: Path) -> None:
    """A name of a trace, or of a metric of the service, that changes in its table has to change there, too."""
    assert not _unknown(path.read_text())


def test_queries_name_what_traces_have() -> None:
    """The same holds for the queries of the documents; and a name that no trace has is found."""
    assert not _unknown("\n".join(query.text for query in JAEGER_LINKS + TRACEQL))
    assert _unknown("{ span.vm.migration.downtime.goal = 1 }") == ["vm.migration.downtime.goal."]
    assert _unknown('sum by (vm_migration_outcome) (calls{span_name="migration"})') == ["vm_migration_outcome"]

"""Traces of a live service held against those of the finished files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from backends.live_hosts import HOSTS
from backends.otlp_spans import spans_by_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conftest import Otelmig

    from backends.backend_stack import BackendStack

__all__ = ["Spans", "afterwards", "documents", "of_lines"]

Spans: TypeAlias = dict[str, dict[str, Any]]
"""The spans of a trace, by their ids."""
_LIVE_ONLY: Final = (
    *("host.", "otelmig.host.", "service.instance.id", "vm.migration.source.host.", "vm.migration.destination.host."),
    "otelmig.pairing.",
)
"""What a Collector says of a host and a bare file does not, and what follows from it."""


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the traces of a file, one a line; none if it is not there."""
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def afterwards(stack: BackendStack, otelmig: Otelmig, *, poor: bool = True) -> dict[str, Spans]:
    """Return what `otelmig trace` makes of the hosts' finished files: the spans of each trace, by its id."""
    written = stack.folder("/afterwards.jsonl")
    folders = [stack.folder(f"/var/log/{host}") for host in HOSTS.values()]
    done = otelmig("trace", "-q", "-o", written, *folders)
    assert done.returncode == 0, done.stderr
    traces = [spans_by_id(each["resourceSpans"], poor=poor) for each in documents(written)]
    return {next(iter(spans.values()))["traceId"]: spans for spans in traces}


def of_lines(spans: Mapping[str, dict[str, Any]]) -> Spans:
    """Return the spans without what comes from elsewhere than from the lines."""
    kept = {}
    for ident, span in spans.items():
        attributes, resource = (
            {key: value for key, value in span[part].items() if not key.startswith(_LIVE_ONLY)}
            for part in ("attributes", "resource")
        )
        kept[ident] = span | {"attributes": attributes, "resource": resource}
    return kept

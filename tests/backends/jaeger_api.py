"""What Jaeger answers: traces, searches, the dependency graph."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IN_MEMORY", "WARNINGS", "Jaeger"]

WARNINGS: Final = "@jaeger@warnings"
"""The attribute in which Jaeger says what it finds wrong with a span."""

IN_MEMORY: Final = {
    "badger: {directories: {keys: /var/lib/jaeger/keys, values: /var/lib/jaeger/values}, "
    "ephemeral: false, consistency: true, ttl: {spans: 8760h}}": "memory: {max_traces: 10000}"
}
"""Edits of the shipped jaeger_server.yaml, for a Jaeger that keeps all that it gets, copies too, until it ends."""


class Jaeger:
    """The HTTP interface behind its viewer, at ``url``."""

    def __init__(self, url: str) -> None:
        self._url = url

    def trace(self, trace_id: str) -> list[dict[str, Any]] | None:
        """The ``resourceSpans`` of a trace; None if there is no such trace (yet)."""
        found = self._get(f"/api/v3/traces/{trace_id}")
        return None if found is None else list(found["result"]["resourceSpans"])

    def longer_than(self, operation: str, duration: str, begin: str, end: str) -> list[dict[str, Any]]:
        """The ``resourceSpans`` of traces with such a span of the source, begun between the two times (RFC 3339)."""
        found = self._get(
            "/api/v3/traces",
            {
                "query.service_name": "migration-source",
                "query.operation_name": operation,
                "query.duration_min": duration,
                "query.start_time_min": begin,
                "query.start_time_max": end,
                "query.num_traces": "1000",
                "query.raw_traces": "true",
            },
        )
        return [] if found is None else list(found["result"]["resourceSpans"])

    def raw(self, service: str, begin: str, end: str) -> list[dict[str, Any]]:
        """The ``resourceSpans`` of all traces with a span of ``service``, begun between the two times (RFC 3339).

        They are as they are stored: what came twice is there twice, if this Jaeger keeps copies (in memory it does).
        """
        found = self._get(
            "/api/v3/traces",
            {
                "query.service_name": service,
                "query.start_time_min": begin,
                "query.start_time_max": end,
                "query.num_traces": "1000",
                "query.raw_traces": "true",
            },
        )
        return [] if found is None else list(found["result"]["resourceSpans"])

    def page(self) -> str:
        """What a browser gets first: the page with its settings."""
        with urllib.request.urlopen(f"{self._url}/", timeout=30) as answer:
            return str(answer.read().decode())

    def follow(self, link: str) -> set[str]:
        """The ids of the traces that the viewer finds by its own link: its page hands the query on as it is."""
        found = self._get(f"/api/traces?{link.removeprefix('/search?')}")
        assert found is not None
        return {trace["traceID"] for trace in found["data"]}

    def dependencies(self, end_ms: int, lookback_ms: int) -> set[tuple[str, str]]:
        """Who calls whom, of the traces that lie in the time before ``end_ms``."""
        found = self._get("/api/dependencies", {"endTs": str(end_ms), "lookback": str(lookback_ms)})
        assert found is not None
        return {(edge["parent"], edge["child"]) for edge in found["data"]}

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

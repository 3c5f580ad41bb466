"""What Tempo answers: searches and counts in TraceQL."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import urlencode

__all__ = ["Tempo"]


class Tempo:
    """The HTTP interface that Grafana asks, at ``url``; questions are about all times that the recordings have."""

    def __init__(self, url: str, begin_s: int, end_s: int) -> None:
        self._url = url
        self._times = {"start": str(begin_s), "end": str(end_s)}

    def search(self, query: str, limit: int | None = 1000, spans: int = 100) -> dict[str, list[dict[str, Any]]]:
        """The spans that a query finds, by the ids of their traces; at most ``spans`` of each trace."""
        bounds = {} if limit is None else {"limit": str(limit)}
        found = self._get("/api/search", {"q": query, "spss": str(spans)} | bounds)
        return {
            trace["traceID"].rjust(32, "0"): [span for spans in trace["spanSets"] for span in spans["spans"]]
            for trace in found["traces"]
        }

    def series(self, query: str) -> dict[tuple[tuple[str, str], ...], list[float]]:
        """The values over time that a query gives, by their labels; what is absent is left out."""
        found = self._get("/api/metrics/query_range", {"q": query, "step": "3600"})
        return {
            tuple((label["key"], next(iter(label["value"].values()))) for label in series.get("labels", ())): [
                sample["value"] for sample in series["samples"] if "value" in sample
            ]
            for series in found["series"]
        }

    def spans(self, trace_id: str) -> int:
        """How many spans it has of a trace."""
        found = self._get(f"/api/v2/traces/{trace_id}", {})["trace"]["resourceSpans"]
        return sum(len(scope["spans"]) for group in found for scope in group["scopeSpans"])

    def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        url = f"{self._url}{path}?{urlencode(query | self._times)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

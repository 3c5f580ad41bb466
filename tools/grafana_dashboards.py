"""The dashboards for Grafana, made of the queries: ``make golden`` writes dashboards/, a test compares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from dashboard_queries import LIVE, MIGRATION, OVERVIEW, OVERVIEW_TRACES, PAIRS, SERVICE, VARIABLES
from document_parts import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from queries import Query

__all__ = ["FOLDER", "dashboards"]

FOLDER: Final = REPOSITORY / "dashboards"
_COLUMNS: Final = 24
_PROMETHEUS: Final = {"type": "prometheus", "uid": "${prometheus}"}
_TEMPO: Final = {"type": "tempo", "uid": "${tempo}"}
_MOST: Final = 1000
"""Traces that a search may give; Grafana and Tempo would give 20."""
_JSON = dict[str, Any]


def _prometheus(query: Query, number: int, *, instant: bool, form: str = "time_series") -> _JSON:
    return {
        "datasource": _PROMETHEUS,
        "expr": query.text,
        "format": form,
        "instant": instant,
        "range": not instant,
        "legendFormat": "__auto",
        "refId": chr(ord("A") + number),
    }


def _tempo(query: Query, number: int, table: str = "spans") -> _JSON:
    return {
        "datasource": _TEMPO,
        "query": query.text,
        "queryType": "traceql",
        "metricsQueryType": "range",
        "tableType": table,
        "limit": _MOST,
        "spss": 100,
        "refId": chr(ord("A") + number),
    }


def _panel(
    title: str,
    kind: str,
    targets: Sequence[_JSON],
    size: tuple[int, int],
    *,
    unit: str = "none",
    more: Mapping[str, Any] | None = None,
    overrides: Sequence[_JSON] = (),
    custom: Mapping[str, Any] | None = None,
) -> _JSON:
    defaults: _JSON = {"unit": unit, "custom": dict(custom or {})}
    return {
        "title": title,
        "type": kind,
        "datasource": targets[0]["datasource"],
        "targets": list(targets),
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": dict(more or {}),
    }


_LINK: Final = {
    "matcher": {"id": "byName", "options": "spanID"},
    "properties": [
        {
            "id": "links",
            "value": [
                {
                    "title": "this migration",
                    "url": "/d/otelmig-migration?var-trace=${__data.fields.traceIdHidden}&var-tempo=${tempo}",
                }
            ],
        }
    ],
}
"""From a row of a table of spans, in which Grafana keeps the id of the trace in a field that it does not show."""


def _placed(panels: Iterable[_JSON]) -> list[_JSON]:
    """Place the panels from left to right, in rows of panels that are equally high."""
    placed: list[_JSON] = []
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        size = panel["gridPos"]
        if x + size["w"] > _COLUMNS:
            x, y = 0, y + height
        placed.append(panel | {"id": number, "gridPos": {"x": x, "y": y, **size}})
        x, height = x + size["w"], size["h"]
    return placed


def _source(name: str, text: str) -> _JSON:
    return {"name": name, "label": text, "type": "datasource", "query": name, "refresh": 1}


def _choice(name: str, text: str) -> _JSON:
    return {
        "name": name,
        "label": text,
        "type": "query",
        "datasource": _PROMETHEUS,
        "query": {"query": VARIABLES[name], "refId": name},
        "definition": VARIABLES[name],
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _dashboard(uid: str, title: str, panels: Iterable[_JSON], variables: Sequence[_JSON], begin: str) -> _JSON:
    return {
        "uid": uid,
        "title": title,
        "tags": ["otelmig"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "time": {"from": begin, "to": "now"},
        "timezone": "utc",
        "templating": {"list": list(variables)},
        "panels": _placed(panels),
    }


def _number(query: Query, unit: str) -> _JSON:
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "graphMode": "none"}
    return _panel(query.question, "stat", [_prometheus(query, 0, instant=True)], (6, 4), unit=unit, more=options)


def _overview() -> _JSON:
    metrics = {query.name: query for query in OVERVIEW}
    traces = {query.name: query for query in OVERVIEW_TRACES}

    def number(name: str, unit: str = "none") -> _JSON:
        return _number(metrics[name], unit)

    def bars(query: Query, unit: str = "none", form: str = "time_series") -> _JSON:
        options = {"orientation": "horizontal", "displayMode": "basic"}
        target = _prometheus(query, 0, instant=True, form=form)
        return _panel(query.question, "bargauge", [target], (8, 8), unit=unit, more=options)

    def table(name: str) -> _JSON:
        return _panel(traces[name].question, "table", [_tempo(traces[name], 0)], (24, 8), overrides=[_LINK])

    rate = metrics["rate"]
    stacked = {"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal"}}
    panels = [
        number("migrations"),
        number("not successful"),
        number("missed"),
        number("share", "percentunit"),
        _panel(rate.question, "timeseries", [_prometheus(rate, 0, instant=False)], (16, 8), custom=stacked),
        bars(metrics["errors"]),
        bars(metrics["lengths"], form="heatmap"),
        bars(metrics["by host"]),
        bars(metrics["share by host"], "percentunit"),
        bars(metrics["share by version"], "percentunit"),
        bars(PAIRS),
        _panel(
            "Blackout: estimates between their bounds",
            "timeseries",
            [_tempo(traces[name], place) for place, name in enumerate(("blackout min", "blackout", "blackout max"))],
            (8, 8),
            unit="s",
            custom={"drawStyle": "points"},
        ),
        *(table(name) for name in ("missed", "failed", "blackouts")),
    ]
    variables = [
        _source("prometheus", "Metrics"),
        _source("tempo", "Traces"),
        _choice("host", "Source host"),
        _choice("version", "Version"),
    ]
    return _dashboard("otelmig-overview", "Live migrations", panels, variables, "now-7d")


def _migration() -> _JSON:
    queries = {query.name: query for query in MIGRATION}
    trace = queries.pop("trace")
    panels = [
        *(_panel(query.question, "table", [_tempo(query, 0)], (12, 6)) for query in queries.values()),
        _panel(trace.question, "traces", [_tempo(trace, 0, table="traces")], (24, 24)),
    ]
    given = {"name": "trace", "label": "Trace id", "type": "textbox", "query": "", "current": {"text": "", "value": ""}}
    return _dashboard("otelmig-migration", "One live migration", panels, [_source("tempo", "Traces"), given], "now-1y")


def _live() -> _JSON:
    queries = {query.name: query for query in LIVE}
    units = {"hosts": "none", "waiting": "bytes", "fullest": "percentunit", "dropped": "none"}
    graphs = {"lines": "none", "queues": "bytes", "stopped": "none"}
    panels = [
        *(_number(query, "s" if "delay" in query.name else "none") for query in SERVICE),
        *(_number(queries[name], unit) for name, unit in units.items()),
        *(
            _panel(
                queries[name].question, "timeseries", [_prometheus(queries[name], 0, instant=False)], (8, 8), unit=unit
            )
            for name, unit in graphs.items()
        ),
    ]
    return _dashboard(
        "otelmig-live",
        "Live: the service and the hosts' Collectors",
        panels,
        [_source("prometheus", "Metrics")],
        "now-6h",
    )


def dashboards() -> dict[str, str]:
    """Return each file's text by its name."""
    every = {"overview.json": _overview(), "migration.json": _migration(), "live.json": _live()}
    return {name: json.dumps(content, indent=2) + "\n" for name, content in every.items()}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()

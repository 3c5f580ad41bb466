"""The dashboards are those that the tables give, and the example has everything that it names."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest
from document_parts import REPOSITORY
from grafana_dashboards import FOLDER, dashboards

_EXAMPLES: Final = REPOSITORY / "examples"
_CONFIGURATIONS: Final = REPOSITORY / "collector-config"
_FILES: Final = pytest.mark.parametrize("name", sorted(dashboards()))
_COLUMNS: Final = 24


def _panels(name: str) -> list[dict[str, Any]]:
    return list(json.loads((FOLDER / name).read_text())["panels"])


@_FILES
def test_dashboards_are_generated(name: str) -> None:
    """``make golden`` writes them, and there is no other."""
    assert (FOLDER / name).read_text() == dashboards()[name]
    assert {path.name for path in FOLDER.glob("*.json")} == set(dashboards())


@_FILES
def test_panels_lie_beside_each_other(name: str) -> None:
    """Each has an id of its own, fits into the grid, and covers no other."""
    panels = _panels(name)
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < _COLUMNS


@_FILES
def test_sources_are_variables(name: str) -> None:
    """Whoever imports a dashboard chooses the sources; every variable that a query names is there."""
    document = json.loads((FOLDER / name).read_text())
    variables = {variable["name"] for variable in document["templating"]["list"]}
    targets = [target for panel in document["panels"] for target in panel["targets"]]
    assert {target["datasource"]["uid"] for target in targets} <= {f"${{{variable}}}" for variable in variables}
    texts = " ".join(target.get("expr", target.get("query")) for target in targets)
    assert {word for word in re.findall(r"\$(\w+)", texts) if not word.startswith("__")} <= variables


def test_dashboards_lead_to_one_migration() -> None:
    """The link in the tables of the overview names the other dashboard and its variables."""
    (uid,) = {json.loads((FOLDER / "migration.json").read_text())["uid"]}
    links = re.findall(r'"url": "(/d/[^"]+)"', (FOLDER / "overview.json").read_text())
    assert set(links) == {f"/d/{uid}?var-trace=${{__data.fields.traceIdHidden}}&var-tempo=${{tempo}}"}


def test_the_example_is_made_of_shipped_files() -> None:
    """Tempo's file and Grafana's sources differ from the shipped ones in addresses alone; what is mounted exists."""
    shipped = "".join((_CONFIGURATIONS / name).read_text() for name in ("tempo_server.yaml", "tempo_metrics.yaml"))
    for old, new in (
        ('"127.0.0.1:14317"', '"0.0.0.0:14317"'),
        ('"127.0.0.1:14318"', '"0.0.0.0:14318"'),
        ("http_listen_address: 127.0.0.1", "http_listen_address: 0.0.0.0"),
        ("http://127.0.0.1:9090", "http://prometheus:9090"),
        (" # EDIT:", " #"),
    ):
        assert old in shipped
        shipped = shipped.replace(old, new)
    assert (_EXAMPLES / "tempo.yaml").read_text().partition("\n")[2] == shipped
    sources = (FOLDER / "provisioning" / "datasources" / "otelmig.yaml").read_text()
    sources = sources.replace("127.0.0.1:3200", "tempo:3200").replace("127.0.0.1:9090", "prometheus:9090")
    assert (_EXAMPLES / "grafana_datasources.yaml").read_text().partition("\n")[2] == sources.partition("\n")[2]
    text = (_EXAMPLES / "compose.yaml").read_text()
    mounted = re.findall(r"(?<=[ \[])(\.[\w./-]*):/", text)
    assert len(mounted) > 8
    assert not [path for path in mounted if not (_EXAMPLES / path).exists()]
    for folder, name in re.findall(r"/etc/(otelmig|examples)/([\w.]+)", text):
        assert ((_CONFIGURATIONS if folder == "otelmig" else _EXAMPLES) / name).is_file()

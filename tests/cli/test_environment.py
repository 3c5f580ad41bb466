"""Variables of OpenTelemetry besides those of the exporter: followed for both sides, or named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from otlp_receiver import http_receiver
from trace_invariants import CORPUS

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig

_LOGS = [CORPUS / "v53.0-twohosts" / f"{side}.log" for side in ("source", "destination")]
_VARIABLE = "OTEL_RESOURCE_ATTRIBUTES"


def _resources(otelmig: Otelmig, folder: Path, text: str) -> tuple[list[dict[str, str]], list[str]]:
    """The attributes of both resources, and what was said before the account."""
    done = otelmig("trace", "-q", "-o", folder / "out.jsonl", *_LOGS, **{_VARIABLE: text})
    assert done.returncode == 0, done.stderr
    document = json.loads((folder / "out.jsonl").read_text())
    found = [
        {item["key"]: item["value"].get("stringValue") for item in each["resource"]["attributes"]}
        for each in document["resourceSpans"]
    ]
    assert [resource["service.name"] for resource in found] == ["migration-source", "migration-destination"]
    return found, done.stderr.splitlines()[:-1]


def test_both_sides_get_the_attributes(otelmig: Otelmig, tmp_path: Path) -> None:
    """Percent-encoded, as in the specification; nothing is said."""
    found, said = _resources(otelmig, tmp_path, "deployment.environment.name=lab%20a, k8s.cluster.name=b%2Cc,empty=")
    for resource in found:
        assert resource["deployment.environment.name"] == "lab a"
        assert resource["k8s.cluster.name"] == "b,c"
        assert resource["empty"] == ""
    assert said == []


def test_what_describes_one_process_is_ignored(otelmig: Otelmig, tmp_path: Path) -> None:
    """It is that of otelmig, and neither side's; one line says so, and the rest is taken."""
    plain, _ = _resources(otelmig, tmp_path, "")
    text = "service.name=x,host.name=y,k8s.pod.name=p,process.pid=7,vm.migration.role=z,team=a"
    found, said = _resources(otelmig, tmp_path, text)
    assert found == [resource | {"team": "a"} for resource in plain]
    names = "host.name, k8s.pod.name, process.pid, service.name, vm.migration.role"
    assert said == [f"otelmig: {_VARIABLE}: {names} are ignored: the two sides of a migration differ in that"]


@pytest.mark.parametrize("text", ["team", "team=a,b", "=a", "team=a=b;c", "a b=c"])
def test_a_malformed_one_is_ignored_as_a_whole(text: str, otelmig: Otelmig, tmp_path: Path) -> None:
    """As the specification wants it, and it is said."""
    plain, _ = _resources(otelmig, tmp_path, "")
    found, said = _resources(otelmig, tmp_path, text)
    assert found == plain
    assert said == [f"otelmig: {_VARIABLE} is ignored: want key=value, separated by commas"]


def test_variables_that_are_not_followed_are_named(otelmig: Otelmig) -> None:
    """In one line, where something is exported; what concerns other signals, or is empty, is not named."""
    environ = {
        "OTEL_SERVICE_NAME": "x",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_BSP_MAX_QUEUE_SIZE": "1",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1",
        "OTEL_PROPAGATORS": "",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://elsewhere:4318",
    }
    with http_receiver() as receiver:
        done = otelmig("demo", "-q", "--otlp", receiver.url, **environ)
        assert len(receiver.spans) > 10
    (said, _) = done.stderr.splitlines()
    named = "OTEL_BSP_MAX_QUEUE_SIZE, OTEL_SERVICE_NAME, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_TRACES_SAMPLER"
    assert said.startswith(f"otelmig: {named} are not followed: ")
    assert "not followed" not in otelmig("demo", "-q", **environ).stderr

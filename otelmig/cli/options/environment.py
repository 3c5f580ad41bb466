"""What OpenTelemetry's environment variables say besides where to export to, and which of them are not followed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from otelmig.cli.console import say

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["resource_attributes", "say_not_followed"]

_RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"
_KEY: Final = re.compile(r"[^\s;]+")
_OF_ONE_SIDE: Final = tuple(
    f"{prefix}."
    for prefix in (
        *("service", "host", "os", "process", "container", "telemetry"),
        *("k8s.pod", "k8s.container", "k8s.node"),
        *("vm", "otelmig"),
    )
)
"""Beginnings of names that say who or where one process is: that of otelmig is neither side of a migration."""
_NOT_FOLLOWED: Final = re.compile(
    r"OTEL_(?:SERVICE_NAME|TRACES_SAMPLER(?:_ARG)?|BSP_\w+|(?:SPAN_|EVENT_|LINK_)?ATTRIBUTE_\w+_LIMIT"
    r"|SPAN_(?:EVENT|LINK)_COUNT_LIMIT|PROPAGATORS|ENTITIES|LOG_LEVEL|(?:EXPERIMENTAL_)?CONFIG_FILE)"
)
"""Variables of the specification that concern traces, and change nothing here."""


def resource_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes that ``OTEL_RESOURCE_ATTRIBUTES`` gives both sides of every migration.

    Each is a percent-encoded ``key=value``; if one is malformed, all are ignored, as the specification wants it. What
    describes one process is ignored, too. Either is told in one line.
    """
    text = environ.get(_RESOURCE, "")
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    pairs = [(key.strip(), equals, value.strip()) for key, equals, value in parts]
    attributes = {unquote(key): unquote(value) for key, _, value in pairs}
    if not all(equals and _KEY.fullmatch(key) and ";" not in value for key, equals, value in pairs):
        say(f"{_RESOURCE} is ignored: want key=value, separated by commas")
        return {}
    ignored = sorted(name for name in attributes if name.startswith(_OF_ONE_SIDE))
    if ignored:
        are = "is" if len(ignored) == 1 else "are"
        say(f"{_RESOURCE}: {', '.join(ignored)} {are} ignored: the two sides of a migration differ in that")
    return {name: value for name, value in attributes.items() if name not in ignored}


def say_not_followed(environ: Mapping[str, str]) -> None:
    """Tell which variables are set that an exporter of traces usually follows, and this one does not."""
    names = sorted(name for name, value in environ.items() if value and _NOT_FOLLOWED.fullmatch(name))
    if names:
        are = "is" if len(names) == 1 else "are"
        say(f"{', '.join(names)} {are} not followed: every trace is sent whole, each side under a name of its own")

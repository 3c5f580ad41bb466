"""One OpenTelemetry trace per live migration of a virtual machine, made from the logs of both hosts.

:func:`trace_migrations` reads logs and yields a :class:`Trace` for each migration attempt; :func:`readable_spans`
turns a trace into finished spans of the OpenTelemetry SDK. The command ``otelmig`` prints, writes and exports what
:func:`trace_migrations` yields.

Everything that is listed in ``__all__`` is public. It is loaded on first use, so ``import otelmig`` loads neither the
reader nor an exporter; :func:`readable_spans` alone needs the OpenTelemetry SDK.

>>> from importlib.resources import files
>>> import otelmig
>>> recording = files("otelmig") / "recordings"
>>> [trace] = otelmig.trace_migrations([recording / "source.log", recording / "destination.log"])
>>> trace.root.attributes["vm.migration.result"], trace.root.attributes["vm.migration.downtime.duration"]
('success', 0.461)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from otelmig.version import __version__

if TYPE_CHECKING:
    from otelmig.clock.epoch import Anchor
    from otelmig.clock.options import ClockOptions
    from otelmig.clock.placement import ClockMode
    from otelmig.errors import (
        ExitCode,
        ExportError,
        InputError,
        OtelmigError,
        SpoolError,
        SpoolFullError,
        SpoolVersionError,
        UsageError,
    )
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs.line import Where
    from otelmig.migration.constraint import Basis, Constraint, Evidence
    from otelmig.migration.side import Role
    from otelmig.otlp.encoding.sdk_spans import readable_spans
    from otelmig.pipeline import trace_migrations
    from otelmig.trace.identity import TraceParent
    from otelmig.trace.options import TraceOptions
    from otelmig.trace.span import AttributeValue, Link, Span, SpanEvent, SpanKind, Trace

__all__ = [
    "Anchor",
    "AttributeValue",
    "Basis",
    "ClockMode",
    "ClockOptions",
    "Constraint",
    "Evidence",
    "ExitCode",
    "ExportError",
    "InputError",
    "Link",
    "LogOptions",
    "OtelmigError",
    "Role",
    "Span",
    "SpanEvent",
    "SpanKind",
    "SpoolError",
    "SpoolFullError",
    "SpoolVersionError",
    "Trace",
    "TraceOptions",
    "TraceParent",
    "UsageError",
    "Where",
    "__version__",
    "readable_spans",
    "trace_migrations",
]

_HOMES: Final = {
    "otelmig.clock.epoch": ("Anchor",),
    "otelmig.clock.options": ("ClockOptions",),
    "otelmig.clock.placement": ("ClockMode",),
    "otelmig.errors": (
        "ExitCode",
        "ExportError",
        "InputError",
        "OtelmigError",
        "SpoolError",
        "SpoolFullError",
        "SpoolVersionError",
        "UsageError",
    ),
    "otelmig.hypervisors.log_options": ("LogOptions",),
    "otelmig.inputs.line": ("Where",),
    "otelmig.migration.constraint": ("Basis", "Constraint", "Evidence"),
    "otelmig.migration.side": ("Role",),
    "otelmig.otlp.encoding.sdk_spans": ("readable_spans",),
    "otelmig.pipeline": ("trace_migrations",),
    "otelmig.trace.identity": ("TraceParent",),
    "otelmig.trace.options": ("TraceOptions",),
    "otelmig.trace.span": ("AttributeValue", "Link", "Span", "SpanEvent", "SpanKind", "Trace"),
}
"""The module of each public name that is loaded on first use."""


if not TYPE_CHECKING:  # a type checker that knows of it takes every name for a public one

    def __getattr__(name: str) -> object:
        """Load a public name on its first use (PEP 562) and keep it."""
        for module, names in _HOMES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, including those that are not loaded yet."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})

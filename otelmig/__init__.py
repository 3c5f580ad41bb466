"""otelmig: one OpenTelemetry trace per live migration of a virtual machine.

The library's one entry point is :func:`trace_migrations`; the command line (``otelmig --help``) prints,
writes and exports what it yields. Importing this package loads neither an exporter nor the terminal views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelmig.version import __version__

if TYPE_CHECKING:
    from otelmig.pipeline import trace_migrations

__all__ = ["__version__", "trace_migrations"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the hook's type is given by PEP 562
    """Load the pipeline on first use, so that ``import otelmig`` stays cheap."""
    if name == "trace_migrations":
        from otelmig.pipeline import trace_migrations  # noqa: PLC0415 - lazy on purpose

        return trace_migrations
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

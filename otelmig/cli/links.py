"""Links to traces in a viewer: told once a receiver has the traces."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otelmig.cli.console import say
from otelmig.views.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_link_arguments", "say_links"]

_TRACE_ID: Final = "{trace_id}"
_JAEGER: Final = f"http://{{host}}:16686/trace/{_TRACE_ID}"
"""Where Jaeger shows a trace, unless it was told otherwise."""
_MOST_LINKS: Final = 3
"""At most this many links are told; a viewer's search finds the other traces."""


def add_link_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about links."""
    parser.add_argument_group("links (told once the receiver has the trace)").add_argument(
        "--link-template",
        type=_template,
        metavar="URL",
        help=f"where your viewer shows a trace, with {_TRACE_ID} in it (default: that of a Jaeger on the receiver's "
        "host; '': no links)",
    )


def say_links(template: str | None, endpoint: str, trace_ids: Sequence[str]) -> None:
    """Tell where the traces can be seen.

    ``template`` is the user's; None stands for Jaeger on the host of ``endpoint``: a guess, and said to be one.
    """
    if template == "":
        return
    doubt = ""
    if template is None:
        host = urlsplit(endpoint).hostname or "localhost"
        template = _JAEGER.replace("{host}", f"[{host}]" if ":" in host else host)
        doubt = " (Jaeger's usual place; for another viewer: --link-template)"
    for number, trace_id in enumerate(trace_ids[:_MOST_LINKS]):
        say(f"see {template.replace(_TRACE_ID, trace_id)}{'' if number else doubt}")
    if len(trace_ids) > _MOST_LINKS:
        say(f"see also {plural(len(trace_ids) - _MOST_LINKS, 'other trace')}, by their ids")


def _template(text: str) -> str:
    if text and _TRACE_ID not in text:
        raise argparse.ArgumentTypeError(f"{text}: want a URL with {_TRACE_ID} in it, or ''")
    return text

"""Lines as a file has them -> lines as the hypervisor wrote them, with what their framings say of them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from otelmig.inputs.framing.prefixes import DEEPEST
from otelmig.inputs.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otelmig.inputs.framing.dates import Dating, LocalTime
    from otelmig.inputs.framing.prefixes import Framed, Framing

__all__ = ["unwrapped"]

_PIECES: Final = 64
"""At most so many pieces of a line that its framing cut are put together."""


def unwrapped(line: Line, framings: Sequence[Framing], dating: Dating | None = None) -> Line:
    """Return ``line`` without what its framings put around it; as it is, if it has none of them.

    ``dating`` says what dates without a year or a zone are of; without it they say nothing.
    """
    text, received_ns, host = line.text, line.received_ns, line.host
    writers: list[str] = []
    local: LocalTime | None = None
    innermost: Framed | None = None
    # what is known so far of the line, from the outermost framing inwards: an inner one that says more wins
    for _ in range(DEEPEST):
        framing, wrapped = _wrapped(text, framings)
        if framing is None or wrapped is None:
            break
        text, innermost = wrapped.text, wrapped
        writers += [wrapped.writer] if wrapped.writer else []
        received_ns, host = wrapped.received_ns or received_ns, wrapped.host or host
        local = wrapped.local or local
        if framing.innermost:
            break
    if innermost is None:
        return line
    if innermost.partial:
        text += _rest(line, framings)
    assumed: tuple[str, ...] = ()
    if received_ns is None and local is not None:
        received_ns, assumed = _dated(local, dating)

    def lookahead() -> Iterator[str]:
        for raw in line.lookahead() if line.lookahead is not None else ():
            after = unwrapped(Line(text=raw, where=line.where), framings)
            if after.writer == inner:
                yield after.text

    inner = "/".join(writers)
    return Line(
        text=text.removesuffix("#015").rstrip("\r\n"),  # how rsyslog writes the CR of a record's end
        where=line.where,
        writer="/".join(part for part in (line.writer, inner) if part),
        received_ns=received_ns,
        host=host,
        lookahead=lookahead,
        stream=line.stream,
        lost_before=line.lost_before,
        assumed=assumed,
    )


def _dated(local: LocalTime, dating: Dating | None) -> tuple[int | None, tuple[str, ...]]:
    return (None, ()) if dating is None else (dating.end_ns(local), dating.assumed(local))


def _wrapped(text: str, framings: Iterable[Framing]) -> tuple[Framing | None, Framed | None]:
    return next(
        ((framing, wrapped) for framing in framings if (wrapped := framing.unwrap(text)) is not None), (None, None)
    )


def _rest(line: Line, framings: Sequence[Framing]) -> str:
    """Return the other pieces of a line that its framing cut because it was long."""
    rest = ""
    for raw in islice(line.lookahead() if line.lookahead is not None else (), _PIECES):
        _, piece = _wrapped(raw, framings)
        if piece is None:
            break
        rest += piece.text
        if not piece.partial:
            break
    return rest

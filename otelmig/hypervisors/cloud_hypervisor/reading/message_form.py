"""How a row of the message table is written, and how it reads a message.

A form is written like the upstream format string, with ``{name:type}`` for what it prints; a type says what such a
value looks like and what it means (times in ns, sizes in bytes, rates in bytes per second).
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.kinds import Command
from otelmig.migration.observation import NO_VALUES, Value
from otelmig.structs import Struct
from otelmig.units import KIB, MIB, MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord, Releases

__all__ = ["COMMANDS", "VM_CALLS", "Row"]

_PAGE: Final = 4096


VM_CALLS: Final = (
    "VmBoot",
    "VmCoredump",
    "VmCreate",
    "VmDelete",
    "VmNmi",
    "VmPause",
    "VmPowerButton",
    "VmReboot",
    "VmRestore",
    "VmResume",
    "VmShutdown",
    "VmSnapshot",
    "VmmShutdown",
)
"""API calls that change what the VM does."""
COMMANDS: Final = {
    "Abandon": Command.ABANDON,
    "Complete": Command.COMPLETE,
    "CompletePaused": Command.COMPLETE_PAUSED,
    "Config": Command.CONFIG,
    "Invalid": Command.INVALID,
    "Memory": Command.MEMORY,
    "MemoryFd": Command.MEMORY_FD,
    "PageFault": Command.PAGE_FAULT,
    "Start": Command.START,
    "State": Command.STATE,
}
"""The requests of the migration protocol, as the destination names them."""


def _rate(text: str) -> float | None:
    """Return MiB/s in bytes/s; None for the ``inf`` and ``NaN`` that Rust prints after an instant transfer."""
    value = float(text)
    return value * MIB if math.isfinite(value) else None


_TYPES: Final[dict[str, tuple[str, Callable[[str], Value | None]]]] = {
    "int": (r"\d{1,15}", int),
    "ms": (r"\d{1,12}(?=ms)", lambda text: int(text) * MILLISECOND_NS),
    "s": (r"\d{1,9}(?=s)", lambda text: int(text) * SECOND_NS),
    "decimal_s": (r"\d{1,9}\.\d{1,3}(?=s)", lambda text: round(float(text) * 1000) * MILLISECOND_NS),
    "mib": (r"\d{1,12}(?=MiB)", lambda text: int(text) * MIB),
    "kib": (r"\d{1,12}(?= \(KiB\))", lambda text: int(text) * KIB),
    "mib_per_s": (r"(?:\d{1,15}(?:\.\d{1,9})?|inf|NaN)(?=MiB/s)", _rate),
    "hex": (r"[0-9a-f]{1,16}", lambda text: int(text, 16)),
    "bool": (r"true|false", lambda text: text == "true"),
    "word": (r"\w{1,64}", str),
    "lower": (r"\w{1,64}", str.lower),
    "device": (r"[\w-]{1,64}", str),
    "bdf": (r"[\w:.-]{1,64}", str),
    "url": (r"[^\r\n]{1,4096}?", str),
    "quoted": (r'"(?:[^"\\\r\n]|\\.){0,4096}"', lambda text: text[1:-1]),
    "option": (r'None|Some\("(?:[^"\\\r\n]|\\.){0,4096}"\)', lambda text: text != "None"),
    "version": (r"v\d[\w.+-]{0,63}", str),
    "strategy": (r"Cancel|Ignore", str.lower),
    "command": (r"\w{1,64}", lambda text: COMMANDS.get(text, text)),
    "vm_call": (rf"(?:{'|'.join(VM_CALLS)})\b", str),
    "decimal_ms": (r"\d{1,12}(?:\.\d{1,6})?(?=ms)", lambda text: round(float(text) * MILLISECOND_NS)),
    "float_s": (r"\d{1,9}(?:\.\d{1,9})?(?=s)", lambda text: round(float(text) * SECOND_NS)),
    "percent": (r"\d{1,3}(?=%)", int),
    "pages_per_s": (r"\d{1,15}(?=pps)", lambda text: float(int(text) * _PAGE)),
    "mib_s": (r"(?:\d{1,15}(?:\.\d{1,9})?|inf|NaN)(?=MiBs)", _rate),
    "overhead": (r"\d{1,12}(?:\([^()\r\n]{0,64}\))?", str),
    "rest": (r"[^\r\n]{0,4096}", str),
    "any": (r".{0,65536}", str),
}
_OPEN: Final = frozenset({"url", "rest", "any"})
"""Types of values that nothing but the text after them ends."""
_FIELD: Final = re.compile(r"\{(\w*):(\w+)\}")


class Row(Struct, frozen=True, kw_only=True):
    """One message form."""

    form: str
    """The text with ``{name:type}`` where a value is printed."""
    kind: Kind
    """The moment that it marks; ``Kind.IRRELEVANT`` for what a trace does not need."""
    releases: Releases
    variant: str | None = None
    """Who else prints it: a fork, or a wording that no release has (yet)."""
    multiline: bool = False
    """Whether what follows on the next lines belongs to it (error chains)."""
    constants: Mapping[str, Value] = field(default_factory=dict)
    derived: Callable[[Mapping[str, Value]], Mapping[str, Value]] | None = None
    """What the printed values amount to; takes their place."""
    search_prefixes: tuple[str, ...] = ()
    """How such messages begin, where the form begins with a value or is too general to search for."""

    last_word: LastWord | None = None
    """Whose last word it is, if it is one."""

    @property
    def head(self) -> str:
        """The literal text before the first printed value."""
        return _head(self.form)

    def values(self, message: str) -> Mapping[str, Value] | None:
        """Return what ``message`` prints, if it has exactly this form, else None."""
        pattern, converters = _matcher(self.form)
        match = pattern.fullmatch(message)
        if match is None:
            return None
        if not converters and not self.constants:
            return NO_VALUES
        values: dict[str, Value] = dict(self.constants)
        for name, convert in converters:
            value = convert(match[name])
            if value is not None:
                values[name] = value
        return values if self.derived is None else self.derived(values)


@cache
def _head(form: str) -> str:
    return _FIELD.split(form, maxsplit=1)[0]


@cache
def _matcher(form: str) -> tuple[re.Pattern[str], tuple[tuple[str, Callable[[str], Value | None]], ...]]:
    """Return the pattern of a form, and how its values are read; compiled when the first such message comes along.

    A value of an open type ends, for good, where the text after it occurs first: two of them that might end at many
    places each would take time that grows with the square of the message's length.
    """
    first, *rest = _FIELD.split(form)
    fields = list(zip(rest[::3], rest[1::3], rest[2::3], strict=True))
    pattern, converters = re.escape(first), {}
    for number, (name, type_name, after) in enumerate(fields, start=1):
        expression, convert = _TYPES[type_name]
        is_cut = type_name in _OPEN and number < len(fields)
        if is_cut:
            expression = f"{expression.removesuffix('?')}?"
        value = f"(?P<{name}>{expression})" if name else f"(?:{expression})"
        pattern += f"(?>{value}{re.escape(after)})" if is_cut else value + re.escape(after)
        if name:
            converters[name] = convert
    return re.compile(pattern, re.DOTALL), tuple(converters.items())

"""What free text may say when it leaves the machine.

Error texts may name files, sockets, certificates or credentials. What identifies the failure is its words, so
paths, quoted strings, values of settings, mail addresses and opaque tokens are replaced; addresses of the network too,
on request. What the operating system or Rust's standard library calls an error is no secret.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from otelmig.migration.system_words import SYSTEM_WORDS

__all__ = ["redact", "without_addresses"]

_LONGEST: Final = 1_024
"""Viewers cut longer attributes; nothing that explains a failure is that long."""
_SYSTEM_ERROR: Final = re.compile(
    r'(\b(?:Os \{ code: -?\d{1,10}, |Error \{ )kind: \w{1,64}, message: )"([^"\\]{1,256})"(?=,? \})'
)
"""An error of the operating system, or a constant one of ``std::io``, as Rust's ``{:?}`` prints it."""
_KEPT: Final = "\0"
"""Stands for a quotation mark that stays while the rules are applied."""
_SECRETS: Final = (
    r"[\w-]{0,64}(?:password|passwd|pwd|secret|token|credential|api.?key|bearer|authorization)s?"
    r"|(?<!vhost-)\b(?:user(?:[ _-]?name)?|login|pass)s?"
)
"""Words that announce a secret, or a name that is nobody's business; a vhost-user device is no user."""
_JOINING: Final = "(?:name|id|is|was|bearer|basic)"
"""Words that may stand between such a word and what it announces."""
_REGISTER: Final = "(?:0x[0-9A-Fa-f]{1,8}|E[A-D]X)"
"""A value or the name of a register, in the lines that say which CPU feature is missing."""
_RULES: Final = (
    # a text that is cut has no closing quotation mark
    (r'"(?:[^"\\]|\\.|\\$)*("|$)', r'"<redacted>\1'),
    # names of threads and of requests are constants
    (
        rf"(?<!\w)'(?!{_REGISTER}')(?<!thread ')(?<!<unnamed>')(?<!\b[Cc]ommand ')(?:[^']|'(?=\w))*('|$)",
        r"'<redacted>\1",
    ),
    (r"(?i)\b([\w-]{0,64}passphrases?)\b(?:\s*[:=]\s*|\s+)[^,;()\[\]{}]{1,1024}", r"\1 <redacted>"),
    (
        (
            rf"(?i)\b({_SECRETS})\b(?!-)(?:\s+{_JOINING})*(?:\s*[:=]\s*|\s+)"
            rf"(?!\(os error )(?:{_JOINING}\s+)*\S{{1,1024}}"
        ),
        r"\1 <redacted>",
    ),
    (r"\b[a-z][a-z0-9+.-]{1,15}://\S{1,1024}", "<url>"),
    (r"[^\s@,;<>()\"'=]{1,256}@(?!\d{1,4}(?![\w.-]))[\w.-]{1,256}", "<email>"),
    (r"[^\s\"'<>|;,()=]{0,256}\\[^\s\"'<>|;,()]{1,1024}", "<path>"),
    (r"(?<![\w.])(?:[A-Za-z]:|~|\.{1,2})?/[^\s:;,'\"()<>]{1,1024}", "<path>"),
    (  # numbers in hexadecimal and the names of registers say which CPU feature is missing
        r"\b([A-Za-z_][\w.-]{0,63})=(?!<|'?0x[0-9A-Fa-f]{1,8}(?![\w])|'E[A-D]X')[^\s,;)]{1,1024}",
        r"\1=<redacted>",
    ),
    (r"(?<![\w-])(?=[\w+/-]{0,64}\d)(?=[\w+/-]{0,64}[A-Za-z])[\w+/-]{16,1024}={0,2}(?![\w-])", "<token>"),
)
_ADDRESSES: Final = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])"
    r"|(?<![\w.:])\[?[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}\]?(?::\d{1,5})?(?![\w:])"
)
"""Two colons between names are Rust's, and two numbers after the name of a file say where in it."""


def redact(text: str, *, addresses: bool) -> str:
    """Return ``text`` on one line, without paths, quoted strings, settings, tokens and, if asked, network addresses.

    >>> redact('reading "/srv/vm.img": Os { code: 5, kind: Uncategorized, message: "I/O error" }', addresses=False)
    'reading "<redacted>": Os { code: 5, kind: Uncategorized, message: "I/O error" }'
    """
    return _redacted(" ".join(text[: 4 * _LONGEST].replace(_KEPT, " ").split()), addresses=addresses)


def without_addresses(text: str) -> str:
    """Return ``text`` without network addresses; it consists of words of ours and of names that may be told."""
    return _ADDRESSES.sub("<address>", text)


@lru_cache(maxsize=128)
def _redacted(line: str, *, addresses: bool) -> str:
    """Redact one line of bounded length; a failure is told several times in the same words."""
    line = _SYSTEM_ERROR.sub(_kept, line)
    for pattern, replacement in _compiled_rules():
        line = pattern.sub(replacement, line)
    line = line.replace(_KEPT, '"')
    if addresses:
        line = without_addresses(line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


@cache
def _compiled_rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in _RULES)


def _kept(error: re.Match[str]) -> str:
    """Return an error of the operating system with its words marked as known, if they are."""
    begin, words = error.groups()
    return f"{begin}{_KEPT}{words}{_KEPT}" if words in SYSTEM_WORDS else error[0]

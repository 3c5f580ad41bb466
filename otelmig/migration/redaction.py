"""What free text may say when it leaves the machine.

Error texts may name files, sockets, certificates or credentials. What identifies the failure is its words, so
paths, quoted strings, values of settings and opaque tokens are replaced; addresses too, on request.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["redact"]

_LONGEST: Final = 1_024
"""Viewers cut longer attributes; nothing that explains a failure is that long."""
_RULES: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'"(?:[^"\\\r\n]|\\.){0,1024}"', '"<redacted>"'),
        (
            r"(?i)\b(password|passwd|secret|token|credential|api.?key|bearer|authorization)s?\b(?:\s*[:=]\s*|\s+)\S{1,1024}",
            r"\1 <redacted>",
        ),
        (r"\b[a-z][a-z0-9+.-]{1,15}://\S{1,1024}", "<url>"),
        (r"(?<![\w.])(?:~|\.{1,2})?/[^\s:;,'\"()<>]{1,1024}", "<path>"),
        (  # numbers in hexadecimal and the names of registers say which CPU feature is missing
            r"\b([A-Za-z_][\w.-]{0,63})=(?!<|'?0x[0-9A-Fa-f]{1,8}(?![\w])|'E[A-D]X')[^\s,;)]{1,1024}",
            r"\1=<redacted>",
        ),
        (r"(?<![\w-])(?=[\w+/-]{0,64}\d)(?=[\w+/-]{0,64}[A-Za-z])[\w+/-]{16,1024}={0,2}(?![\w-])", "<token>"),
    )
)
_ADDRESSES: Final = re.compile(
    r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])|\[?[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}\]?(?::\d{1,5})?"
)


def redact(text: str, *, addresses: bool) -> str:
    """Return ``text`` on one line, without paths, quoted strings, settings, tokens and, if asked, network addresses."""
    line = " ".join(text[: 4 * _LONGEST].split())
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    if addresses:
        line = _ADDRESSES.sub("<address>", line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"

"""What can go wrong, as one tree; every error is one line for a person and carries its exit code.

```
OtelmigError
├─ UsageError      wrong options, or options that contradict the evidence      exit 2
├─ InputError      a file that cannot be read or is no log we know             exit 2
└─ ExportError     found, but not (all) delivered                              exit 3
   └─ SpoolError   the spool cannot be used; what is delivered goes without it exit 3
      ├─ SpoolFullError     there is no space for it
      └─ SpoolVersionError  a newer otelmig wrote it
```
"""

from __future__ import annotations

__all__ = [
    "ExportError",
    "InputError",
    "OtelmigError",
    "SpoolError",
    "SpoolFullError",
    "SpoolVersionError",
    "UsageError",
]


class OtelmigError(Exception):
    """Base of all errors that a user can cause or act upon; ``str()`` is one line."""

    exit_code = 1


class UsageError(OtelmigError):
    """An option is malformed or contradicts what the logs prove."""

    exit_code = 2


class InputError(OtelmigError):
    """A file cannot be read, or nothing in it is a form that any supported hypervisor writes."""

    exit_code = 2


class ExportError(OtelmigError):
    """The backend did not take the spans, or its answer does not prove that it did."""

    exit_code = 3


class SpoolError(ExportError):
    """The spool cannot be read or written."""


class SpoolFullError(SpoolError):
    """The spool's file system has no space, or its bound does not allow what should be kept."""


class SpoolVersionError(SpoolError):
    """A newer version wrote the spool: this one must not touch it."""

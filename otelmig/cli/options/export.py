"""The options that say which receiver gets the traces, and what keeps them until it has them."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.console import say
from otelmig.cli.options.environment import say_not_followed
from otelmig.views.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.otlp.delivery import Delivery
    from otelmig.otlp.receiver.settings import Settings

__all__ = [
    "add_export_arguments",
    "check_export_arguments",
    "export_settings",
    "files_to_read",
    "open_delivery",
    "say_waiting",
    "seconds",
    "size",
]

_SIZE_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AGE_UNITS: Final = {"": 1, "S": 1, "M": 60, "H": 3600, "D": 86_400, "W": 7 * 86_400}
_OF_EXPORT: Final = ("header", "certificate", "client_certificate", "client_key", "protocol", "compression", "timeout")
"""Names of the arguments that say how to reach a receiver."""
_LEAST_SIZE: Final = 1 << 20
"""Bytes of the smallest spool."""


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of an export."""
    export = parser.add_argument_group("export (OTEL_EXPORTER_OTLP_* variables also apply)")
    export.add_argument(
        "--otlp",
        nargs="?",
        const="",
        metavar="URL",
        help="export to this OTLP receiver (default: OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318)",
    )
    export.add_argument(
        "--protocol", choices=("http/protobuf", "http/json", "grpc"), help="OTLP transport (default: http/protobuf)"
    )
    export.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="seconds allowed for one request, retries included (default: 10)",
    )
    export.add_argument(
        "--header", action="append", default=[], metavar="KEY=VALUE", help="extra request header (repeatable)"
    )
    export.add_argument("--compression", choices=("gzip", "none"), help="compression of requests (default: none)")
    export.add_argument(
        "--certificate", metavar="FILE", help="PEM file with the authorities that may sign the receiver's certificate"
    )
    export.add_argument(
        "--client-certificate", metavar="FILE", help="PEM file with the certificate for mutual TLS, with --client-key"
    )
    export.add_argument("--client-key", metavar="FILE", help="PEM file with the key of --client-certificate")
    export.add_argument("--insecure", action="store_true", help="use gRPC without TLS if the URL has no scheme")
    spool = parser.add_argument_group("spool (keeps what could not be exported, remembers what was)")
    spool.add_argument(
        "--spool",
        metavar="DIR",
        help="directory of the spool (default: OTELMIG_SPOOL, else otelmig/spool in XDG_STATE_HOME or ~/.local/state)",
    )
    spool.add_argument("--no-spool", action="store_true", help="keep and remember nothing")
    spool.add_argument(
        "--spool-size",
        type=size,
        metavar="SIZE",
        help="maximum size of the spool; oldest entries are dropped first (default: 1G)",
    )
    spool.add_argument(
        "--spool-age", type=_age_s, metavar="AGE", help="maximum age of an entry, such as 12h (default: 30d)"
    )
    spool.add_argument(
        "--resend", action="store_true", help="also send traces that the receiver has already acknowledged"
    )


def files_to_read(arguments: argparse.Namespace) -> list[str]:
    """Return the files that were named, the one that ``--otlp`` took for its URL included (``--otlp a.log``)."""
    files = list(arguments.files)
    if arguments.otlp and "://" not in arguments.otlp and Path(arguments.otlp).exists():
        files.insert(0, arguments.otlp)
        arguments.otlp = ""
    return files


def open_delivery(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Delivery:
    """Return the delivery that was asked for; nothing is sent yet.

    Raises:
        UsageError: an option or a variable that has no default is malformed, or a certificate or the proxy cannot be
            used.
    """
    # loading HTTP and protobuf costs more than making a trace
    from otelmig.otlp.delivery import Delivery
    from otelmig.otlp.receiver.sender import Sender
    from otelmig.otlp.receiver.settings import GRPC
    from otelmig.otlp.spool.directory import default_spool
    from otelmig.otlp.spool.spool import Bounds

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is loaded, which would write to stderr
    settings = export_settings(arguments, environ)
    for warning in settings.warnings:
        say(warning)
    say_not_followed(environ)
    if settings.protocol == GRPC:  # gRPC knows the names in small letters only
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
            if name in environ and name.lower() not in environ:
                os.environ[name.lower()] = environ[name]
    directory = None
    if not arguments.no_spool:
        directory = Path(arguments.spool) if arguments.spool else default_spool(environ)
    bounds = Bounds(
        **{
            name: value
            for name, value in (("size", arguments.spool_size), ("age_s", arguments.spool_age))
            if value is not None
        }
    )
    return Delivery(
        settings,
        Sender(settings),
        directory=directory,
        bounds=bounds,
        resend=arguments.resend,
        say=say,
    )


def check_export_arguments(arguments: argparse.Namespace) -> None:
    """Check the options of an export that is not asked for: a mistake in them is one whether or not they are used.

    Raises:
        UsageError: one is malformed, or a certificate cannot be used.
    """
    if any(getattr(arguments, name) for name in _OF_EXPORT):
        from otelmig.otlp.receiver.certificates import check_certificates

        check_certificates(export_settings(arguments, {}))


def export_settings(arguments: argparse.Namespace, environ: Mapping[str, str], *, url: str | None = None) -> Settings:
    """Return where the options and the environment say that traces go; with a ``url``, that one.

    Raises:
        UsageError: one of them is malformed.
    """
    from otelmig.otlp.receiver.settings import Settings

    return Settings.of(
        environ,
        url=arguments.otlp if url is None else url,
        protocol=arguments.protocol,
        timeout_s=arguments.timeout,
        headers=arguments.header,
        compression=arguments.compression,
        certificate=arguments.certificate,
        client_certificate=arguments.client_certificate,
        client_key=arguments.client_key,
        insecure=arguments.insecure,
    )


def say_waiting(delivery: Delivery) -> None:
    """Say what the spool holds after a delivery, if anything."""
    if count := delivery.account.waiting.traces:
        are, them = ("is", "it") if count == 1 else ("are", "them")
        say(f"{plural(count, 'trace')} {are} in the spool {delivery.directory}; `otelmig send` delivers {them}")


def seconds(text: str) -> float:
    """Read a positive number of seconds.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: want a positive number of seconds")
    return number


def size(text: str) -> int:
    """Read a size such as 500M, in bytes.

    Raises:
        argparse.ArgumentTypeError: it is none, or too small.
    """
    match = re.fullmatch(r"([0-9]{1,15}) ?([KMGT]?)(?:i?B)?", text, re.IGNORECASE)
    if match is None or int(match[1]) * _SIZE_UNITS[match[2].upper()] < _LEAST_SIZE:
        raise argparse.ArgumentTypeError(f"{text}: want a size of at least 1M, such as 500M or 2G")
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


def _age_s(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9}) ?([smhdw]?)", text, re.IGNORECASE)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{text}: want an age such as 12h or 30d")
    return int(match[1]) * _AGE_UNITS[match[2].upper()]

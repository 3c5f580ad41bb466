"""The options of commands that take OTLP logs: where they listen, and who may send."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.cli.parser import CommandLineError

if TYPE_CHECKING:
    import argparse

    from otelmig.otlp.intake.access import Tls, TokenFile

__all__ = ["add_intake_arguments", "check_intake_arguments", "tls_of", "token_of"]

_ADDRESS: Final = "127.0.0.1:4319"
_OF_LISTEN: Final = {
    "grpc": "--grpc",
    "token_file": "--token-file",
    "tls_certificate": "--tls-certificate",
    "tls_key": "--tls-key",
    "tls_client_ca": "--tls-client-ca",
}


def add_intake_arguments(parser: argparse.ArgumentParser, title: str, *, always: bool) -> None:
    """Add the arguments; ``always``: whether the command listens without being asked to."""
    intake = parser.add_argument_group(title)
    if always:
        intake.add_argument(
            "--listen",
            default=_ADDRESS,
            metavar="ADDRESS",
            help=f"address and port for OTLP over HTTP, and for GET /status (default: {_ADDRESS})",
        )
    else:
        intake.add_argument(
            "--listen",
            nargs="?",
            const=_ADDRESS,
            metavar="ADDRESS",
            help="take announcements of migrations at this address and port, by OTLP over HTTP, and answer GET /status "
            f"there (default: none; without ADDRESS: {_ADDRESS})",
        )
    intake.add_argument("--grpc", metavar="ADDRESS", help="address and port for OTLP over gRPC, too (default: none)")
    intake.add_argument(
        "--token-file", metavar="FILE", help="file with the bearer token that senders must give (default: none)"
    )
    intake.add_argument("--tls-certificate", metavar="FILE", help="PEM file with the service's certificate")
    intake.add_argument("--tls-key", metavar="FILE", help="PEM file with the key of --tls-certificate")
    intake.add_argument(
        "--tls-client-ca",
        metavar="FILE",
        help="PEM file with the authorities of clients' certificates, which clients then need",
    )
    intake.add_argument(
        "--parent-unsampled",
        action="store_true",
        help="put a migration below the span that announced it even if nobody exports that span",
    )


def check_intake_arguments(arguments: argparse.Namespace) -> None:
    """Check that nothing is said of a server that there is none of.

    Raises:
        CommandLineError: it is.
    """
    flags = [flag for name, flag in _OF_LISTEN.items() if getattr(arguments, name) is not None]
    if flags and arguments.listen is None:
        raise CommandLineError(f"{flags[0]} belongs to --listen")


def token_of(arguments: argparse.Namespace) -> TokenFile | None:
    """Return what senders must know, if anything.

    Raises:
        UsageError: the file cannot be read.
    """
    from otelmig.otlp.intake.access import TokenFile

    return None if arguments.token_file is None else TokenFile(arguments.token_file)


def tls_of(arguments: argparse.Namespace) -> Tls | None:
    """Return the files of a server that speaks TLS, or None.

    Raises:
        CommandLineError: there is a key, or an authority of clients, without a certificate.
    """
    from otelmig.otlp.intake.access import Tls

    if arguments.tls_certificate is not None:
        return Tls(
            certificate=Path(arguments.tls_certificate),
            key=None if arguments.tls_key is None else Path(arguments.tls_key),
            client_ca=None if arguments.tls_client_ca is None else Path(arguments.tls_client_ca),
        )
    if arguments.tls_key is not None or arguments.tls_client_ca is not None:
        raise CommandLineError("--tls-key and --tls-client-ca belong to --tls-certificate")
    return None

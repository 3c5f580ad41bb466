"""A server for OTLP logs over HTTP/1.1: a thread for each connection, and one that accepts them.

What a sender may do is bounded by ``Limits``. Whatever it sends, it is answered so that it does not come again with
what can never be taken: a Collector drops what was refused with 400, 401, 404, 413 or 415, and repeats what met 503.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias

from otelmig.errors import UsageError
from otelmig.otlp.intake.access import Address
from otelmig.otlp.intake.exchange import Desk, Limits, RefusedError
from otelmig.otlp.intake.http_exchange import HttpExchange
from otelmig.otlp.intake.http_wire import GoneError, HttpWire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from otelmig.otlp.intake.access import Tls, TokenFile
    from otelmig.otlp.intake.exchange import Handler, Refusal

__all__ = ["HttpIntake", "StatusSource"]

StatusSource: TypeAlias = "Callable[[], tuple[int, Mapping[str, object]]]"
"""Gives the HTTP status and the JSON document of ``GET /status``; called by many threads at once."""
_BACKLOG: Final = 1_024
_SPARE_FILES: Final = 256
"""Files that the rest of the process may have open."""
_MOST_TURNED_AWAY: Final = 16
"""Connections beyond the limit that are answered at once; others are closed without a word."""
_TURNED_AWAY: Final = Limits(head_s=2.0, body_s=2.0, answer_s=2.0)
_POLL_S: Final = 0.1
"""How long a failed accept (no file left to open) waits before the next."""
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A connection whose other end is gone without a word is found out within two minutes."""


class HttpIntake:
    """Takes requests at ``/v1/logs`` and hands them to a handler; ``/status`` says how the service is.

    >>> from otelmig.otlp.intake.access import Address
    >>> from otelmig.otlp.intake.exchange import Verdict
    >>> intake = HttpIntake(Address("127.0.0.1", 0), lambda request: Verdict())
    >>> intake.start()
    >>> intake.address.host
    '127.0.0.1'
    >>> intake.stop(grace_s=1.0)
    """

    def __init__(
        self,
        address: Address,
        handler: Handler,
        *,
        limits: Limits | None = None,
        tls: Tls | None = None,
        token: TokenFile | None = None,
        status: StatusSource | None = None,
    ) -> None:
        """Bind ``address``; nobody is answered before the start.

        ``tls``: None for plain HTTP. ``token``: None if everybody may send. ``status``: None if nobody may ask.

        Raises:
            UsageError: the address cannot be bound, or a certificate cannot be used.
        """
        self._limits = limits or Limits()
        self._context: ssl.SSLContext | None = None if tls is None else tls.context()
        self._desk = Desk(handler, self._limits, token)
        self._exchange = HttpExchange(self._desk, self._limits, status)
        self._away = HttpExchange(self._desk, _TURNED_AWAY, None)
        files = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES, 2)
        self._most = min(self._limits.connections, files if tls is None else files // 2)  # see _set_up
        self._changed = threading.Condition()
        self._open: dict[socket.socket, bool] = {}
        """Connections; whether each is idle: no request has begun on it."""
        self._turned_away = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="otlp-http", daemon=True)
        self._socket = _bound(address)
        host, port = self._socket.getsockname()[:2]
        self.address: Final = Address(host, port)
        """What it is bound to, with the port that was free if none was given."""

    @property
    def connections(self) -> int:
        """How many connections are open."""
        with self._changed:
            return len(self._open)

    def refusals(self) -> tuple[Refusal, ...]:
        """Return what was refused since the start, by sender, status and reason, the most frequent first."""
        return self._desk.refusals()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Take no more requests; return once those under way are answered, after ``grace_s`` seconds at the latest."""
        deadline = time.monotonic() + grace_s
        with self._changed:
            self._stopping.set()
            for connection, is_idle in self._open.items():
                if is_idle:
                    _shut(connection, socket.SHUT_RD)
        _shut(self._socket, socket.SHUT_RDWR)  # wakes whoever accepts
        if self._thread.ident is not None:
            self._thread.join(max(deadline - time.monotonic(), 0))
        self._socket.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._open, max(deadline - time.monotonic(), 0))
            for connection in self._open:
                _shut(connection, socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, peer = self._socket.accept()
            except OSError:
                time.sleep(0 if self._stopping.is_set() else _POLL_S)
                continue
            with self._changed:
                is_one_too_many = len(self._open) - self._turned_away >= self._most
                if self._stopping.is_set() or (is_one_too_many and self._turned_away >= _MOST_TURNED_AWAY):
                    connection.close()
                    continue
                self._open[connection] = True
                self._turned_away += is_one_too_many
            serve = self._turn_away if is_one_too_many else self._serve
            thread = threading.Thread(target=serve, args=(connection, _host_of(peer)), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread is left
                self._forget(connection, connection, was_turned_away=is_one_too_many)

    def _serve(self, plain: socket.socket, peer: str) -> None:
        """Answer the requests of one connection."""
        connection = plain
        try:
            connection = self._set_up(plain, self._limits)
            wire = HttpWire(connection, self._limits)
            timeout_s: float | None = self._limits.head_s
            while self._set_idle(plain, is_idle=True) and wire.wait(timeout_s):
                self._set_idle(plain, is_idle=False)
                if not self._exchange.answer(wire, peer, self._stopping.is_set):
                    break
                timeout_s = None  # whoever sent a good request may be silent for as long as it has nothing to send
        except (OSError, GoneError):
            pass  # the other end is gone
        finally:
            self._forget(plain, connection)

    def _turn_away(self, plain: socket.socket, peer: str) -> None:
        """Say that there are too many connections already."""
        connection = plain
        try:
            connection = self._set_up(plain, _TURNED_AWAY)
            wire = HttpWire(connection, _TURNED_AWAY)
            if wire.wait(_TURNED_AWAY.head_s):
                refused = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", 1.0)
                self._away.refuse(wire, peer, refused)
        except (OSError, GoneError):
            pass  # the other end is gone
        finally:
            self._forget(plain, connection, was_turned_away=True)

    def _set_up(self, connection: socket.socket, limits: Limits) -> socket.socket:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.settimeout(limits.head_s)
        if self._context is None:
            return connection
        # the plain socket stays as it is: it is what the connection is known by, and shut by
        return self._context.wrap_socket(connection.dup(), server_side=True)

    def _set_idle(self, connection: socket.socket, *, is_idle: bool) -> bool:
        """Note whether a request is under way; return whether another may begin."""
        with self._changed:
            self._open[connection] = is_idle
            return not self._stopping.is_set()

    def _forget(self, plain: socket.socket, connection: socket.socket, *, was_turned_away: bool = False) -> None:
        with self._changed:
            self._open.pop(plain, None)
            self._turned_away -= was_turned_away
            self._changed.notify_all()
        for open_socket in (connection, plain):
            _shut(open_socket, socket.SHUT_RDWR)
            open_socket.close()


def _bound(address: Address) -> socket.socket:
    """Return a socket that listens."""
    try:
        if address.host in ("", "::") and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", address.port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
        family, *_, place = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(place[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}") from error


def _host_of(peer: tuple[object, ...]) -> str:
    """Return the address of a sender; IPv4 as such, where it came in over IPv6."""
    return str(peer[0]).removeprefix("::ffff:") if peer else ""


def _shut(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, how)

"""OTLP over HTTP, with protobuf or JSON bodies."""

from __future__ import annotations

import gzip
import json
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import requests
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelmig.otlp.account import Reason
from otelmig.otlp.receiver.answer import Answer, answer_of
from otelmig.otlp.receiver.http_connection import check_connection, connection_failure, open_session
from otelmig.otlp.receiver.settings import JSON

if TYPE_CHECKING:
    from otelmig.otlp.receiver.settings import Settings

__all__ = ["HttpTransport"]

_CONTENT_TYPES: Final = {True: "application/json", False: "application/x-protobuf"}
"""Content type of a request, by whether its body is JSON."""
_REASONS: Final = {
    401: Reason.UNAUTHORIZED,
    403: Reason.UNAUTHORIZED,
    407: Reason.UNAUTHORIZED,
    413: Reason.TOO_LARGE,
    404: Reason.NOT_OTLP,
    405: Reason.NOT_OTLP,
    415: Reason.NOT_OTLP,
}
"""Reasons of the statuses that have one of their own."""
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may be sent again (OTLP specification, "OTLP/HTTP Response")."""
_NOT_ACCEPTED: Final = frozenset({429, 503})
"""Statuses that mean that nothing was accepted; a gateway's 502 or 504 says nothing of the receiver behind it."""
_ABOUT_RECEIVER: Final = frozenset({Reason.RECEIVER_BUSY, Reason.NOT_OTLP, Reason.UNAUTHORIZED})
"""Reasons that any other request would meet, too."""
_HINTS: Final = {
    404: " (is the path /v1/traces?)",
    405: " (is this an OTLP port?)",
    415: " (does it take this protocol? see `Settings.protocol`)",
}
"""What a person should check, by status."""
_REPEATED_PATH: Final = (
    " (OTEL_EXPORTER_OTLP_ENDPOINT is a base URL, to which /v1/traces is added: "
    "drop it there, or use OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)"
)
"""What a person should check where no OTLP receiver answers at a path that ends in ``/v1/traces`` twice."""
_GRACE_S: Final = 0.2
"""Seconds that the exchange gets beyond its timeout, to report by itself why it took too long."""
_LARGEST_ANSWER: Final = 1 << 16
"""Bytes of a body after which no more is read."""
_LONGEST_WAIT_S: Final = 86_400.0
"""At most this many seconds of a ``Retry-After`` are believed."""


class HttpTransport:
    """One HTTP session with one receiver."""

    def __init__(self, settings: Settings) -> None:
        """Prepare a session; the certificates and keys have been checked already.

        Raises:
            UsageError: the URL, a header or the proxy of the environment cannot be used.
        """
        self._settings = settings
        self._content_type = _CONTENT_TYPES[settings.protocol == JSON]
        self._session = open_session(settings, self._content_type)
        check_connection(self._session, settings)

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """POST ``body`` and return the answer, within ``timeout_s`` from the look-up of the host to the last byte.

        The exchange runs in a thread of its own, which is abandoned when the time is over. The session's own timeouts
        are for one read each: a receiver that answers byte by byte would never exceed them.
        """
        answer: Future[Answer] = Future()

        def work(session: requests.Session) -> None:
            try:
                answer.set_result(self._exchange(session, body, timeout_s))
            except Exception as error:  # noqa: BLE001 - nothing is swallowed: the waiting thread raises it again
                answer.set_exception(error)

        threading.Thread(target=work, args=(self._session,), daemon=True).start()
        try:
            return answer.result(timeout_s + _GRACE_S)
        except TimeoutError:
            self._session = open_session(self._settings, self._content_type)
            return self._timed_out(timeout_s)

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()

    def _exchange(self, session: requests.Session, body: bytes, timeout_s: float) -> Answer:
        """Send one request and return its answer; redirects, which would turn it into a GET, are not followed."""
        settings = self._settings
        deadline = time.monotonic() + timeout_s
        try:
            with session.post(
                settings.url,
                data=gzip.compress(body, mtime=0) if settings.gzip else body,
                timeout=timeout_s,
                allow_redirects=False,
                stream=True,
                verify=settings.certificate or True,
            ) as response:
                return self._answer(response, _content(response, deadline))
        except requests.exceptions.ConnectTimeout:
            return Answer(
                failure=f"cannot reach {settings.display_url}: no connection within {timeout_s:.1f} s",
                reason=Reason.UNREACHABLE,
                retryable=True,
            )
        except (requests.exceptions.Timeout, TimeoutError):
            return self._timed_out(timeout_s)
        except requests.exceptions.InvalidHeader:  # a header of the answer: those of the request have been checked
            return Answer(
                failure=f"{settings.display_url} answered with a malformed header",
                reason=Reason.RECEIVER_ERROR,
                maybe_accepted=True,
            )
        except requests.exceptions.RequestException as error:
            return connection_failure(error, settings)
        except OSError as error:  # requests does not wrap the error about a certificate that it cannot use
            why = error.strerror or "the certificates cannot be used"
            return Answer(failure=f"{settings.display_url}: {why}", reason=Reason.TLS)

    def _timed_out(self, timeout_s: float) -> Answer:
        """Return the answer for an exchange that was not over in time."""
        failure = f"{self._settings.display_url} did not answer within {timeout_s:.1f} s"
        return Answer(failure=failure, reason=Reason.TIMEOUT, retryable=True, maybe_accepted=True)

    def _answer(self, response: requests.Response, content: bytes) -> Answer:
        """Return what a response with the body ``content`` means."""
        status = response.status_code
        if status < HTTPStatus.OK:  # an interim answer that no final one follows
            return self._no_receiver(str(status))
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return self._redirected(response)
        if status >= HTTPStatus.BAD_REQUEST:
            return self._refused(response)
        content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type != self._content_type:
            shown = self._settings.redacted(content_type) or "no content type"
            return self._no_receiver(f"{status} with {'a web page' if content_type == 'text/html' else shown}")
        return self._proof(content, status)

    def _redirected(self, response: requests.Response) -> Answer:
        """Return the answer for a redirect: a wrong URL."""
        settings = self._settings
        target = settings.redacted(_shown_target(response.headers.get("Location", ""))) or "somewhere else"
        return Answer(
            failure=f"{settings.display_url} redirects to {target} ({response.status_code}): "
            f"give that URL, redirects lose spans{self._hint()}",
            reason=Reason.NOT_OTLP,
        )

    def _refused(self, response: requests.Response) -> Answer:
        """Return the answer for a status of failure."""
        status = response.status_code
        reason = _status_reason(status)
        phrase = f" {self._settings.redacted(response.reason or '')}".rstrip()
        hint = _HINTS.get(status, "")
        if reason is Reason.NOT_OTLP:
            hint = self._hint() or hint
        return Answer(
            failure=f"{self._settings.display_url} answered {status}{phrase}{hint}",
            reason=reason,
            retryable=status in _RETRYABLE,
            retry_after_s=_retry_after_s(response.headers.get("Retry-After")) if status in _NOT_ACCEPTED else None,
            concerns_request=reason not in _ABOUT_RECEIVER,
            maybe_accepted=status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NOT_ACCEPTED,
        )

    def _proof(self, content: bytes, status: int) -> Answer:
        """Return what the body says: an OTLP response may be empty in protobuf, and is an object in JSON."""
        try:
            if self._settings.protocol == JSON:
                response = ParseDict(
                    _otlp_fields(json.loads(content)), ExportTraceServiceResponse(), ignore_unknown_fields=True
                )
            else:
                response = ExportTraceServiceResponse.FromString(content)
        except (DecodeError, ParseError, ValueError, RecursionError):
            return self._no_receiver(f"{status} with something that is no OTLP response")
        return answer_of(response, self._settings)

    def _no_receiver(self, what: str) -> Answer:
        """Return the answer of something that is no OTLP receiver, although one may stand behind it."""
        failure = f"{self._settings.display_url} answered {what}: this is no OTLP receiver{self._hint()}"
        return Answer(failure=failure, reason=Reason.NOT_OTLP, maybe_accepted=True)

    def _hint(self) -> str:
        """Return what is known to be wrong with the URL, if anything is."""
        return _REPEATED_PATH if self._settings.repeats_path else ""


def _otlp_fields(document: object) -> dict[str, object]:
    """Return the fields of a JSON answer, without nulls.

    Raises:
        ValueError: it has another field than an OTLP response has, as the answer of a health check does.
    """
    if not isinstance(document, dict) or not set(document) <= {"partialSuccess"}:
        raise ValueError("no OTLP response")
    return {name: value for name, value in document.items() if value is not None}


def _content(response: requests.Response, deadline: float) -> bytes:
    """Return the body, or its beginning if it is longer than an answer can be.

    Raises:
        TimeoutError: it was not complete at ``deadline``, in seconds of the monotonic clock.
    """
    content = bytearray()
    for chunk in response.iter_content(1):  # a larger chunk would be waited for as long as any byte arrives
        content += chunk
        if time.monotonic() > deadline:
            raise TimeoutError
        if len(content) > _LARGEST_ANSWER:
            break
    return bytes(content)


def _shown_target(location: str) -> str:
    """Return where a redirect leads, without credentials; an empty text if that is no URL."""
    try:
        target = urlsplit(location)
    except ValueError:
        return ""
    return target._replace(netloc=target.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _status_reason(status: int) -> Reason:
    """Return the reason for a status that is no success."""
    if status in _RETRYABLE:
        return Reason.RECEIVER_BUSY
    fallback = Reason.REJECTED if status < HTTPStatus.INTERNAL_SERVER_ERROR else Reason.RECEIVER_ERROR
    return _REASONS.get(status, fallback)


def _retry_after_s(text: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, which may be a number or a date; None if it is neither."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdecimal() else _until_s(text)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_S)


def _until_s(date: str) -> float:
    """Return the seconds from now until ``date``, which has the form of an HTTP date.

    Raises:
        ValueError: it has another form.
    """
    instant = parsedate_to_datetime(date)
    return (instant.replace(tzinfo=instant.tzinfo or UTC) - datetime.now(UTC)).total_seconds()

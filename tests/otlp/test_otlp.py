"""What leaves as OTLP: the same spans by file, HTTP and gRPC, and no delivery that is not proved."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from delivery_cases import PROTOCOLS, check_delivered, delivered, payloads
from otlp_lines import parsed_line
from otlp_receiver import Reply, http_receiver, receiver_of
from trace_invariants import inputs, recorded, traced

from otelmig.errors import UsageError
from otelmig.otlp.delivery import LARGEST_REQUEST
from otelmig.otlp.payload import Payload
from otelmig.otlp.receiver.settings import Settings, environment_exports

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def _by_id(message: ExportTraceServiceRequest) -> dict[bytes, bytes]:
    return {
        span.span_id: span.SerializeToString(deterministic=True)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_receiver_gets_what_the_file_has(protocol: str, compression: str, tmp_path: Path) -> None:
    """Span for span, by every transport, compressed or not."""
    given = [Payload.of_trace(trace) for trace in recorded("v53.0-retry")]
    with receiver_of(protocol)() as receiver:
        account = delivered(given, receiver.url, tmp_path, protocol=protocol, compression=compression)
        assert account.words() == "2 exported"
        written: dict[bytes, bytes] = {}
        for payload in given:
            written |= _by_id(parsed_line(payload.line))
        found: dict[bytes, bytes] = {}
        for request in receiver.taken:
            found |= _by_id(request)
        assert found == written
        if protocol == "http/json":
            assert receiver.bodies == [payload.line for payload in given]
        if protocol != "grpc" and compression == "gzip":
            assert {headers["content-encoding"] for headers in receiver.headers} == {"gzip"}


def test_requests_stay_small(tmp_path: Path) -> None:
    """Many traces go in several requests, each below the limit; a trace larger than that is split by its spans."""
    (trace,) = recorded("v53.0-tls")
    giant = replace(
        trace,
        trace_id="f" * 32,
        spans=tuple(trace.root._replace(span_id=f"{number + 1:016x}") for number in range(3000)),
    )
    many = [Payload.of_trace(replace(trace, trace_id=f"{number + 1:032x}")) for number in range(120)]
    given = [*many, Payload.of_trace(giant), *payloads(1, 1000)]
    with http_receiver() as receiver:
        account = delivered(given, receiver.url, tmp_path)
        assert account.words() == "122 exported"
        assert max(map(len, receiver.bodies)) <= LARGEST_REQUEST
        assert len(receiver.bodies) < 20
        check_delivered(given, receiver, [account])


def test_settings_follow_the_specification() -> None:
    """Endpoints, headers and timeouts mean what the OTLP specification says."""
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/tenant/", "OTEL_EXPORTER_OTLP_TIMEOUT": "1500"}
    found = Settings.of(base | {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x,b=c"})
    assert found.url == "http://c:4318/tenant/v1/traces"
    assert found.timeout_s == 1.5
    assert found.headers == {"authorization": "Bearer x", "b": "c"}
    exact = base | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://d:1/x", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "7"}
    assert Settings.of(exact).url == "http://d:1/x"
    assert Settings.of(exact).timeout_s == 0.007
    assert Settings.of(exact, url="http://e:2", timeout_s=3).url == "http://e:2/v1/traces"
    assert Settings.of(exact, url="http://e:2/otlp/v1/traces").url == "http://e:2/otlp/v1/traces"
    assert Settings.of(exact, timeout_s=3).timeout_s == 3


def test_settings_of_every_variable() -> None:
    """The signal's own variable wins over the general one, an option over both; an empty one is none."""
    names = {
        "PROTOCOL": ("grpc", "http/json", "protocol"),
        "COMPRESSION": ("gzip", "none", "gzip"),
        "CERTIFICATE": ("a.pem", "b.pem", "certificate"),
        "CLIENT_CERTIFICATE": ("a.pem", "b.pem", "client_certificate"),
        "CLIENT_KEY": ("a.pem", "b.pem", "client_key"),
    }
    for name, (general, own, attribute) in names.items():
        environ = {f"OTEL_EXPORTER_OTLP_{name}": general}
        first = getattr(Settings.of(environ), attribute)
        second = getattr(Settings.of(environ | {f"OTEL_EXPORTER_OTLP_TRACES_{name}": own}), attribute)
        empty = getattr(Settings.of(environ | {f"OTEL_EXPORTER_OTLP_TRACES_{name}": ""}), attribute)
        assert first == empty != second
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=%2C%3D"}
    assert Settings.of(headers, headers=["A=x y%20", "c=a=b"]).headers == {"a": "x y%20", "b": ",=", "c": "a=b"}


@pytest.mark.parametrize(
    ("environ", "given", "insecure", "expected"),
    [
        ({}, None, False, "http://localhost:4317"),
        ({}, "f:4317", False, "https://f:4317"),
        ({}, "f:4317", True, "http://f:4317"),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "true"}, "f:4317", False, "http://f:4317"),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "g:1"}, None, False, "http://g:1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "g:1"}, None, False, "https://g:1"),
        ({}, "https://f:4317", True, "https://f:4317"),
        ({}, "http://f:4317/path", False, "http://f:4317"),
    ],
)
def test_grpc_endpoints(environ: dict[str, str], given: str | None, insecure: bool, expected: str) -> None:  # noqa: FBT001 - a parameter of the table
    """Without a scheme gRPC is secure unless somebody says that it is not; a scheme decides by itself."""
    assert Settings.of(environ, url=given, protocol="grpc", insecure=insecure).url == expected


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {"timeout_s": -1}, "--timeout -1: want a positive number of seconds"),
        ({}, {"timeout_s": 0.0}, "--timeout 0.0: want a positive number of seconds"),
        ({}, {"timeout_s": float("nan")}, "positive"),
        ({}, {"timeout_s": float("inf")}, "positive"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "hunter2"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: want key=value"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=hunter2%0Ax"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: want key=value"),
        ({}, {"headers": ["=hunter2"]}, "--header: want key=value"),
        ({}, {"url": "ftp://user:hunter2@x"}, "not an OTLP endpoint: 'x'"),
        ({}, {"url": "http://:80"}, "not an OTLP endpoint"),
        ({}, {"url": "http://x:99999"}, "not an OTLP endpoint"),
    ],
)
def test_wrong_settings(environ: dict[str, str], options: dict[str, Any], expected: str) -> None:
    """One line says which setting is wrong, and what it should be; credentials are not repeated."""
    with pytest.raises(UsageError) as caught:
        Settings.of(environ, **options)
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "attribute", "default", "wanted"),
    [
        ("PROTOCOL", "http/xml", "protocol", "http/protobuf", "want one of http/protobuf, http/json, grpc"),
        ("COMPRESSION", "zstd", "gzip", False, "want one of none, gzip"),
        ("TIMEOUT", "10s", "timeout_s", 10.0, "want a number of milliseconds, 0 for no limit"),
        ("TIMEOUT", "-5", "timeout_s", 10.0, "want a number of milliseconds, 0 for no limit"),
        ("TIMEOUT", "inf", "timeout_s", 10.0, "want a number of milliseconds, 0 for no limit"),
        ("TIMEOUT", "nan", "timeout_s", 10.0, "want a number of milliseconds, 0 for no limit"),
    ],
)
def test_malformed_variable(name: str, text: str, attribute: str, default: object, wanted: str) -> None:
    """It is said and passed over, as the specification wants it: the general one holds, or the default."""
    full = f"OTEL_EXPORTER_OTLP_{name}"
    found = Settings.of({full: text})
    assert getattr(found, attribute) == default
    assert found.warnings == (f"{full}={text!r} is ignored: {wanted}",)
    own = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
    good = {"protocol": "grpc", "gzip": "gzip", "timeout_s": "1500"}[attribute]
    found = Settings.of({own: text, full: good})
    assert getattr(found, attribute) == {"protocol": "grpc", "gzip": True, "timeout_s": 1.5}[attribute]
    assert found.warnings == (f"{own}={text!r} is ignored: {wanted}",)


def test_malformed_variables_are_said(otelmig: Otelmig) -> None:
    """One line for each, and the export goes on."""
    with http_receiver() as receiver:
        done = otelmig(
            *("trace", "-q", *map(str, inputs("v53.0-retry"))),
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="thrift",
            OTEL_EXPORTER_OTLP_TIMEOUT="soon",
            OTEL_TRACES_EXPORTER="Vendor",
        )
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "otelmig: OTEL_EXPORTER_OTLP_PROTOCOL='thrift' is ignored: want one of http/protobuf, http/json, grpc",
        "otelmig: OTEL_TRACES_EXPORTER='Vendor' is ignored: want otlp or none",
        "otelmig: OTEL_EXPORTER_OTLP_TIMEOUT='soon' is ignored: want a number of milliseconds, 0 for no limit",
        "2 migrations found, 2 exported; 0 lines not understood",
    ]


def test_names_of_variables_in_any_case() -> None:
    """The values that the specification lists are read without regard to case and space around them."""
    found = Settings.of({"OTEL_EXPORTER_OTLP_PROTOCOL": " GRPC ", "OTEL_EXPORTER_OTLP_COMPRESSION": "Gzip\t"})
    assert (found.protocol, found.gzip, found.warnings) == ("grpc", True, ())


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("given_s", ["1e300", "9.3e9", None])
def test_no_limit_of_time(protocol: str, given_s: str | None, otelmig: Otelmig) -> None:
    """A time that is longer than any clock can count, or none, is a long one."""
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": "9223372036854775807"}
    assert Settings.of(environ).timeout_s == Settings.of({"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}).timeout_s == 2147483.647
    with receiver_of(protocol)() as receiver:
        given = ("trace", "-q", *inputs("v53.0-retry"), "--protocol", protocol, "--otlp", receiver.url)
        done = otelmig(*given, *(("--timeout", given_s) if given_s else ()), **environ)
    assert done.stderr == "2 migrations found, 2 exported; 0 lines not understood\n"


def test_environment_that_wants_no_export() -> None:
    """An endpoint in the environment asks for an export, unless another variable says that there should be none."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}
    assert environment_exports(endpoint)
    assert environment_exports({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"})
    assert environment_exports(endpoint | {"OTEL_TRACES_EXPORTER": "console, OTLP", "OTEL_SDK_DISABLED": "false"})
    assert environment_exports(endpoint | {"OTEL_TRACES_EXPORTER": "of a vendor"})
    others = ({"OTEL_TRACES_EXPORTER": "None"}, {"OTEL_TRACES_EXPORTER": "of a vendor,zipkin"})
    for less in ({"OTEL_SDK_DISABLED": "True"}, *others, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}):
        assert not environment_exports(endpoint | less)


def test_command_exports_and_accounts(otelmig: Otelmig) -> None:
    """`--otlp URL` or the environment exports; a failure is exit code 3, one line why, and nothing counted."""
    logs = inputs("v53.0-retry")
    with http_receiver() as receiver:
        good = otelmig("trace", "-q", "--otlp", receiver.url, *logs)
        again = otelmig("trace", "-q", *logs, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        off = otelmig("trace", "-q", *logs, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SDK_DISABLED="true")
        receiver.reply = Reply(status=302, headers={"Location": "http://x/?token=hunter2"})
        bad = otelmig("trace", "-q", "--resend", "--otlp", receiver.url, *logs)
        summed = otelmig("trace", "--json", "--no-spool", "--otlp", receiver.url, *logs)
    assert (good.returncode, again.returncode, off.returncode) == (0, 0, 0)
    assert (bad.returncode, summed.returncode) == (3, 3)
    assert good.stderr == "2 migrations found, 2 exported; 0 lines not understood\n"
    assert again.stderr == "2 migrations found, 0 exported, 2 already delivered; 0 lines not understood\n"
    assert off.stderr == "2 migrations found; 0 lines not understood\n"
    assert "redirects to http://x/ (302)" in bad.stderr
    assert "hunter2" not in bad.stderr
    last = "2 migrations found, 0 exported, 2 spooled (2 not otlp); 0 lines not understood"
    assert bad.stderr.splitlines()[-1] == last
    delivery = json.loads(summed.stdout)["delivery"]
    spans = sum(len(trace.spans) for trace in traced(logs))
    assert delivery["not_exported"] == {"traces": 2, "spans": spans}
    assert delivery["reasons"] == {"not_otlp": {"traces": 2, "spans": spans}}
    assert delivery["endpoint"] == f"{receiver.url}/v1/traces"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://host/x?token=abc", "'ftp://host/x'"),
        ("ftp://host/x?token=a@abc", "'***'"),
        ("ftp://me:secret@host/x?token=a@abc", "'host/x'"),
        ("http://me:sec?ret@abc:port", "'***'"),
    ],
)
def test_malformed_url_keeps_its_secrets(url: str, shown: str) -> None:
    """What is wrong is said without user, password and query."""
    with pytest.raises(UsageError, match=re.escape(f"not an OTLP endpoint: {shown} ")):
        Settings.of({}, url=url)


def test_header_that_grpc_cannot_send() -> None:
    """Its names are fewer than HTTP's: a usage error, instead of a failure of every request."""
    assert Settings.of({}, headers=["x!y=1"]).headers == {"x!y": "1"}
    with pytest.raises(UsageError, match="name cannot be gRPC's"):
        Settings.of({}, protocol="grpc", headers=["x!y=1"])


def test_host_that_is_named_after_tls(tmp_path: Path) -> None:
    """A host that does not exist is unreachable, whatever its name."""
    account = delivered(payloads(1), "http://tls-handshake.invalid:4317", tmp_path, protocol="grpc", timeout_s=1)
    assert account.words() == "0 exported, 1 spooled (1 unreachable)"

"""Settings of an export: options before variables, variables as the OTLP specification says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from otlp_receiver import http_receiver, receiver_of
from trace_invariants import inputs

from otelmig.errors import UsageError
from otelmig.otlp.receiver.settings import Settings, environment_exports

if TYPE_CHECKING:
    from conftest import Otelmig


def test_settings_follow_the_specification() -> None:
    """Endpoints, headers and timeouts mean what the OTLP specification says."""
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/tenant/", "OTEL_EXPORTER_OTLP_TIMEOUT": "1500"}
    settings = Settings.of(base | {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x,b=c"})
    assert settings.url == "http://c:4318/tenant/v1/traces"
    assert settings.timeout_s == 1.5
    assert settings.headers == {"authorization": "Bearer x", "b": "c"}
    exact = base | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://d:1/x", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "7"}
    assert Settings.of(exact).url == "http://d:1/x"
    assert Settings.of(exact).timeout_s == 0.007
    assert Settings.of(exact, url="http://e:2", timeout_s=3).url == "http://e:2/v1/traces"
    assert Settings.of(exact, url="http://e:2/otlp/v1/traces").url == "http://e:2/otlp/v1/traces"
    assert Settings.of(exact, timeout_s=3).timeout_s == 3


@pytest.mark.parametrize(
    ("variable", "url", "path", "repeats"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/v1/traces", "/v1/traces/v1/traces", True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/tenant/v1/traces/", "/tenant/v1/traces/v1/traces", True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/v1", "/v1/v1/traces", False),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces", "/v1/traces", False),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/v1/traces/v1/traces", "/v1/traces/v1/traces", False),
    ],
)
def test_base_url_that_is_a_whole_one(variable: str, url: str, path: str, *, repeats: bool) -> None:
    """The specification adds the path to the base URL in any case; that it stands there twice is known."""
    settings = Settings.of({variable: url})
    assert (settings.url, settings.repeats_path) == (f"http://c:4318{path}", repeats)
    assert not Settings.of({variable: url}, url="http://d:1/v1/traces/v1/traces").repeats_path
    assert not Settings.of({variable: url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).repeats_path


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
    ("environ", "url", "insecure", "expected"),
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
def test_grpc_endpoints(environ: dict[str, str], url: str | None, *, insecure: bool, expected: str) -> None:
    """Without a scheme gRPC is secure unless somebody says that it is not; a scheme decides by itself."""
    assert Settings.of(environ, url=url, protocol="grpc", insecure=insecure).url == expected


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {"timeout_s": -1}, "`Settings.timeout_s` -1: want a positive number of seconds"),
        ({}, {"timeout_s": 0.0}, "`Settings.timeout_s` 0.0: want a positive number of seconds"),
        ({}, {"timeout_s": float("nan")}, "positive"),
        ({}, {"timeout_s": float("inf")}, "positive"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "hunter2"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: want key=value"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=hunter2%0Ax"}, {}, "OTEL_EXPORTER_OTLP_HEADERS: want key=value"),
        ({}, {"headers": ["=hunter2"]}, "`Settings.headers`: want key=value"),
        ({}, {"url": "ftp://user:hunter2@x"}, "not an OTLP endpoint: 'x'"),
        ({}, {"url": "http://:80"}, "not an OTLP endpoint"),
        ({}, {"url": "http:/collector"}, "not an OTLP endpoint: 'http:/collector'"),
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
    settings = Settings.of({full: text})
    assert getattr(settings, attribute) == default
    assert settings.warnings == (f"{full}={text!r} is ignored: {wanted}",)
    own = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
    good = {"protocol": "grpc", "gzip": "gzip", "timeout_s": "1500"}[attribute]
    settings = Settings.of({own: text, full: good})
    assert getattr(settings, attribute) == {"protocol": "grpc", "gzip": True, "timeout_s": 1.5}[attribute]
    assert settings.warnings == (f"{own}={text!r} is ignored: {wanted}",)


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
    settings = Settings.of({"OTEL_EXPORTER_OTLP_PROTOCOL": " GRPC ", "OTEL_EXPORTER_OTLP_COMPRESSION": "Gzip\t"})
    assert (settings.protocol, settings.gzip, settings.warnings) == ("grpc", True, ())


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("timeout_s", ["1e300", "9.3e9", None])
def test_no_limit_of_time(protocol: str, timeout_s: str | None, otelmig: Otelmig) -> None:
    """A time that is longer than any clock can count, or none, is a long one."""
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": "9223372036854775807"}
    assert Settings.of(environ).timeout_s == Settings.of({"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}).timeout_s == 2147483.647
    with receiver_of(protocol)() as receiver:
        command = ("trace", "-q", *inputs("v53.0-retry"), "--protocol", protocol, "--otlp", receiver.url)
        done = otelmig(*command, *(("--timeout", timeout_s) if timeout_s else ()), **environ)
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
    with pytest.raises(UsageError, match=re.escape(f"not an OTLP endpoint: {shown}; ")):
        Settings.of({}, url=url)


def test_header_that_grpc_cannot_send() -> None:
    """Its names are fewer than HTTP's: a usage error, instead of a failure of every request."""
    assert Settings.of({}, headers=["x!y=1"]).headers == {"x!y": "1"}
    with pytest.raises(UsageError, match="name cannot be gRPC's"):
        Settings.of({}, protocol="grpc", headers=["x!y=1"])

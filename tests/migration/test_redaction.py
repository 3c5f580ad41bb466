"""Redaction: free text keeps what explains a failure, and loses what names somebody's own."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelmig.migration.redaction import redact
from otelmig.migration.system_words import SYSTEM_WORDS

_SECRET = "hunter2"  # noqa: S105 - an example


@pytest.mark.parametrize(
    "text",
    [
        'MigrateSocket(Error { kind: UnexpectedEof, message: "failed to fill whole buffer" })',
        'connecting: Os { code: 113, kind: HostUnreachable, message: "No route to host" }',
        'connecting: Os { code: 113, kind: HostUnreachable, message: "Host is unreachable" }',
        'Bind(Os { code: 98, kind: AddrInUse, message: "Address already in use" })',
        'an `Err` value: Os { code: -1, kind: Uncategorized, message: "No error information" }',
        "Socket error: Connection reset by peer (os error 104)",
        "Too many users (os error 87)",
        "Restore(MissingDeviceNode)",
        "Error restoring vhost-user device: can't map the guest's memory",
        "userfaultfd: Operation not permitted (os error 1)",
        "leaf=0x7 subleaf=0x0 register='ECX' source='0x1' destination='0x0'",
        "thread 'vmm' panicked at vmm/src/device_manager.rs:4756:14",
        "thread '<unnamed>' panicked at a/b.rs:1:2: no such device",
        "command 'State' failed",
    ],
)
def test_what_explains_a_failure_stays(text: str) -> None:
    """Words of the operating system and of the standard library, numbers, Rust's own names."""
    assert redact(text, addresses=True) == text


def test_pretty_printed_errors_keep_their_words() -> None:
    """Rust's ``{:#?}`` puts every field on a line of its own, with a comma after the last."""
    text = 'Os {\n    code: 104,\n    kind: ConnectionReset,\n    message: "Connection reset by peer",\n}'
    assert redact(text, addresses=True) == " ".join(text.split())


def test_words_of_this_operating_system_are_known() -> None:
    """Whatever this machine calls an error is in the table, if it is one of Linux's."""
    words = {os.strerror(code) for code in errno.errorcode}
    assert len(words) > 100
    assert not words - set(SYSTEM_WORDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Error { kind: Other, message: "hunter2" }', 'Error { kind: Other, message: "<redacted>" }'),
        ('message: "No route to host"', 'message: "<redacted>"'),
        ('Custom { kind: Other, error: "hunter2" }', 'Custom { kind: Other, error: "<redacted>" }'),
        ('open("hunter2", x)', 'open("<redacted>", x)'),
        (r'open("a\"hunter2", x)', 'open("<redacted>", x)'),
        ('cut in a text: "hunter2', 'cut in a text: "<redacted>'),
        ('cut after a sign: "hunter2\\', 'cut after a sign: "<redacted>'),
        (f'"{"x" * 2000}hunter2" x', '"<redacted>" x'),
        ("cannot open 'hunter2'", "cannot open '<redacted>'"),
        ("cannot open 'my disk's hunter2': x", "cannot open '<redacted>': x"),
        ("can't open 'hunter2', won't retry", "can't open '<redacted>', won't retry"),
        ("cut in a text: 'hunter2", "cut in a text: '<redacted>"),
        ("user hunter2 is unknown", "user <redacted> is unknown"),
        ("unknown user: hunter2", "unknown user <redacted>"),
        ("pass hunter2", "pass <redacted>"),
        ("pwd hunter2,", "pwd <redacted>"),
        ("PWD: hunter2", "PWD <redacted>"),
        ("the password is hunter2", "the password <redacted>"),
        ("the user name is hunter2", "the user name <redacted>"),
        ("username hunter2", "username <redacted>"),
        ("db_password: hunter2", "db_password <redacted>"),
        ("db-password hunter2", "db-password <redacted>"),
        ("passphrase correct hunter2 battery", "passphrase <redacted>"),
        ("passphrase: correct hunter2 battery; x", "passphrase <redacted>; x"),
        ("Authorization: Bearer hunter2", "Authorization <redacted>"),
        ("mail to hunter2@example.org failed", "mail to <email> failed"),
        ("source.log, source.log@2", "source.log, source.log@2"),  # the second migration of a log
        ("as root:hunter2@10.0.0.5 failed", "as <email> failed"),
        ("as root:hunter2@vault failed", "as <email> failed"),
        (r"no file C:\Users\hunter2\key.pem here", "no file <path> here"),
        (r"no file C:\Program Files\hunter2", "no file <path> <path>"),
        (r"no share \\hunter2\images", "no share <path>"),
        (r"no file hunter2\key.pem", "no file <path>"),
        ("no file C:/Users/hunter2", "no file <path>"),
        ("no file /home/hunter2", "no file <path>"),
        ("see https://example.org/hunter2", "see <url>"),
    ],
)
def test_what_names_somebodys_own_goes(text: str, expected: str) -> None:
    """Quoted texts, secrets after a plain word, mail addresses, paths of either kind: also where the text is cut."""
    assert redact(text, addresses=False) == expected


_KEYWORDS = ("user", "users", "pass", "pwd", "password", "passphrase", "secret", "token", "credential", "api-key")
_JOINED = (" ", ": ", "=", " = ", " is ", " was ", " name ", ":")


@given(
    before=st.sampled_from(["", "wrong ", "tls: ", "x="]),
    keyword=st.sampled_from(_KEYWORDS),
    joined=st.sampled_from(_JOINED),
    quote=st.sampled_from(["", '"', "'"]),
    after=st.sampled_from(["", " refused", ", closing", ")"]),
)
def test_no_secret_after_its_name(before: str, keyword: str, joined: str, quote: str, after: str) -> None:
    """However a secret is joined to the word that announces it, it goes."""
    text = f"{before}{keyword.upper()}{joined}{quote}{_SECRET}{quote}{after}"
    assert _SECRET not in redact(text, addresses=False)


@given(st.text(alphabet="a'\"\\ :=@/{}", max_size=60))
def test_redaction_is_total(text: str) -> None:
    """Any text gives one line."""
    assert "\n" not in redact(text, addresses=True)

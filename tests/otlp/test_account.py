"""The account of a delivery: every trace is counted once, and the exit code and the JSON document agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from delivery_cases import delivered, payloads
from otlp_receiver import Reply, free_port, http_receiver
from trace_invariants import inputs, traced

from otelmig.otlp.account import Account, Reason, Tally
from otelmig.otlp.spool.spool import Bounds

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig
if TYPE_CHECKING:
    from conftest import Otelmig
if TYPE_CHECKING:
    from conftest import Otelmig


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


def test_account_says_everything_in_json(otelmig: Otelmig) -> None:
    """`--json` has one object about the delivery, with the same keys whether it worked or not."""
    logs = inputs("v53.0-retry")
    with http_receiver() as receiver:
        good = json.loads(otelmig("trace", "--json", *logs, "--otlp", receiver.url).stdout)["delivery"]
    bad = json.loads(otelmig("trace", "--json", *logs, "--otlp", receiver.url, "--timeout", "0.1").stdout)["delivery"]
    none = json.loads(otelmig("trace", "--json", *logs).stdout)["delivery"]
    assert none is None
    assert list(good) == list(bad)
    assert good["exported"]["traces"] == bad["already_delivered"]["traces"] == 2


def test_eviction_is_accounted_for(tmp_path: Path) -> None:
    """What a full spool lets go of in the same run is not called spooled."""
    traces = payloads(400)
    account = delivered(traces, f"http://127.0.0.1:{free_port()}", tmp_path, bounds=Bounds(size=1 << 20), timeout_s=0.1)
    assert account.spooled == account.waiting
    assert account.spooled.traces + account.not_exported.traces == 400
    assert account.not_exported == account.evicted == account.reasons[Reason.EVICTED_SIZE]
    assert account.evicted.traces > 0


def test_reason_that_goes_away() -> None:
    """A trace that is exported after all leaves no reason behind, and one that was lost has one of its own."""
    account = Account()
    for reason in (Reason.TIMEOUT, Reason.TIMEOUT, Reason.TLS):
        account.spooled.add(5)
        account.add_reason(reason, 5)
    account.spooled.subtract(5)
    account.remove_reason(Reason.TLS, 5)
    account.exported.add(5)
    assert account.words() == "1 exported, 2 spooled (2 timeout)"
    account.lose_spooled()
    assert account.words() == "1 exported, 2 not exported (2 spool unavailable, 2 timeout)"
    assert account.reasons[Reason.SPOOL_UNAVAILABLE] == Tally(traces=2, spans=10)
    assert sum(tally.traces for tally in account.totals) == 3
    assert not account.complete


def test_broken_line_is_a_trace_that_is_not_exported() -> None:
    """A line that cannot be sent counts as one trace without spans, so that the totals count every line."""
    account = Account()
    account.count_broken_line()
    assert account.words() == "0 exported, 1 not exported (1 broken line)"
    assert account.document()["reasons"] == {"broken_line": {"traces": 1, "spans": 0}}

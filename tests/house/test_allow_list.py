"""The lists of what may leave a host as log records follow the message table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from allow_list import FILE_LOG, LIVE_PRIVATE, allowed_heads, rendered

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.messages import TABLE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", [FILE_LOG, LIVE_PRIVATE], ids=lambda path: str(path.name))
def test_lists_are_what_the_message_table_gives(path: Path) -> None:
    """`make golden` writes them; whoever changes a row is told."""
    assert rendered(path.read_text()) == path.read_text()
    assert re.search(r"(?m)^ {10}\"", path.read_text())


def test_every_row_has_a_head_or_a_rule_of_its_own() -> None:
    """Only the first line of a process has no literal beginning: the file has a pattern for it."""
    headless = [
        row.form for row in TABLE if row.kind is not Kind.IRRELEVANT and not row.search_prefixes and not row.head
    ]
    assert headless == ["{version:version} starting"]
    for path in (FILE_LOG, LIVE_PRIVATE):
        assert r"^v\d[\w.+-]* starting\s*$" in path.read_text()


def test_no_head_lets_a_configuration_through() -> None:
    """No beginning is so short that it says nothing, and none is one of a line with a configuration in it."""
    heads = allowed_heads()
    assert min(map(len, heads)) > 4
    for text in (
        "API request event: VmCreate VmConfig {",
        "Booting VM from config: Mutex { data: VmConfig {",
        "GPA: 0",
    ):
        assert not [head for head in heads if text.startswith(head)]
    assert set(allowed_heads(chains=True)) < set(heads)


def test_what_is_rewritten_is_what_carries_a_configuration() -> None:
    """A new row with a configuration in it needs a rule of its own in the file for live lines."""
    forms = [row.head for row in TABLE if row.kind is Kind.VM_CONFIG]
    assert forms == ["Booting VM from config: Mutex { data: VmConfig {"]
    assert forms[0].replace("{", r"\{") in LIVE_PRIVATE.read_text()
    assert set(allowed_heads()) < set(allowed_heads(live=True))

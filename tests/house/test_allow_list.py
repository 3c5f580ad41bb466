"""The lists of what may leave a host as log records follow the message table."""

from __future__ import annotations

from allow_list import FILE_LOG, allowed_heads, rendered

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.messages import TABLE


def test_lists_are_what_the_message_table_gives() -> None:
    """`make golden` writes them; whoever changes a row is told."""
    assert rendered(FILE_LOG.read_text()) == FILE_LOG.read_text()


def test_every_row_has_a_head_or_a_rule_of_its_own() -> None:
    """Only the first line of a process has no literal beginning: the file has a pattern for it."""
    headless = [
        row.form for row in TABLE if row.kind is not Kind.IRRELEVANT and not row.search_prefixes and not row.head
    ]
    assert headless == ["{version:version} starting"]
    assert "starting" in FILE_LOG.read_text()


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

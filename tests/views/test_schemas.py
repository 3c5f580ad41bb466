"""The JSON Schemas that ship with the package describe what the commands print: all of it, and nothing else."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import pytest
from clock_states import STATES
from command_run import run_command
from jsonschema import Draft202012Validator
from otlp_receiver import http_receiver
from output_schemas import SCHEMA_FILES, schema_of, validated, validator_of
from sample import dealt
from trace_invariants import RECORDINGS, inputs

from otelmig.migration.constraint import Basis
from otelmig.otlp.account import Reason
from otelmig.trace.attributes import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def _printed(*arguments: str | Path) -> dict[str, Any]:
    """What a command prints with --json, which its schema must describe."""
    run = run_command([*map(str, arguments), "--json"])
    return validated(run.stdout)


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document, from the outside in."""
    if isinstance(document, dict):
        yield document
    for each in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
        yield from _objects(each)


def test_every_output_has_a_schema_that_is_one() -> None:
    """Each file in the folder is a schema of draft 2020-12, is named by the document it describes, and says so."""
    assert {each.name for each in (files("otelmig") / "schemas").iterdir()} == set(SCHEMA_FILES.values())
    for name in SCHEMA_FILES:
        Draft202012Validator.check_schema(schema_of(name))
        assert schema_of(name)["title"] == name == schema_of(name)["properties"]["schema"]["const"]


@pytest.mark.parametrize(("recording", "command"), dealt(RECORDINGS, ["trace", "explain", "doctor"]))
def test_every_recording_prints_what_its_schema_describes(recording: str, command: str) -> None:
    """All recorded endings, releases and verbosities.

    A sample: each recording with one command, in turn; `make fuzz` tries all.
    """
    document = _printed(command, *inputs(recording))
    assert document["inputs" if command == "doctor" else "migrations"]


@pytest.mark.parametrize("state", sorted(STATES))
def test_every_state_of_the_clocks_has_its_fields(state: str, tmp_path: Path) -> None:
    """A conflict, a step, one bound only, none: each prints other parts of the summary and of the proof."""
    logs = STATES[state].written(tmp_path)
    asserted = ("--pair", "source.log=destination.log", "--clock", str(STATES[state].mode))
    (migration,) = _printed("trace", *logs, *asserted)["migrations"]
    (explained,) = _printed("explain", *logs, *asserted)["migrations"]
    assert migration["clock"]["status"] == explained["clock"]["status"] == STATES[state].status


def test_deliveries_are_described(tmp_path: Path) -> None:
    """A receiver that takes everything, one that is not there, a spool, an archive with a broken line, a dry run."""
    spool, archive = ("--spool", str(tmp_path / "spool")), tmp_path / "archive.jsonl"
    logs = inputs("v53.0-twohosts")
    assert _printed("trace", *logs, "-o", archive)["delivery"] is None
    nowhere = _printed("trace", *logs, "--timeout", "1", "--otlp", "http://127.0.0.1:1", *spool)["delivery"]
    assert nowhere["reasons"]["unreachable"]["traces"] == nowhere["waiting_in_spool"]["traces"] == 1
    archive.write_bytes(archive.read_bytes() + b"{}\n")
    with http_receiver() as receiver:
        target = ("--otlp", receiver.url)
        assert _printed("send", *target, *spool, "--dry-run")["dry_run"]["found"] == 1
        assert _printed("send", *target, *spool)["delivery"]["exported"]["traces"] == 1
        again = _printed("send", archive, *target, *spool)["delivery"]
        assert (again["already_delivered"]["traces"], again["not_exported"]["traces"]) == (1, 1)
    missing = _printed("send", tmp_path / "missing.jsonl", "--otlp", "http://127.0.0.1:1", *spool)
    assert len(missing["errors"]) == 1


def test_lines_that_are_not_understood_are_described(tmp_path: Path) -> None:
    """Counts by reason, and a sample of each."""
    log = tmp_path / "source.log"
    log.write_bytes(inputs("v53.0-twohosts")[-1].read_bytes().replace(b"Precopy: iter=0 ", b"Precopy: iter=x "))
    assert _printed("trace", log)["not_understood"]
    (examined,) = _printed("doctor", log)["inputs"]
    assert examined["samples"]


@pytest.mark.parametrize("command", ["trace", "explain", "doctor"])
def test_a_field_that_no_schema_names_is_refused(command: str) -> None:
    """Whoever adds a field, wherever in the document, has to describe it."""
    document = _printed(command, *inputs("v53.0-twohosts"))
    validator = validator_of(document["schema"])
    places = list(_objects(document))
    assert len(places) > 10
    for place in places:
        place["a new field"] = "of text"
        assert not validator.is_valid(document), place
        del place["a new field"]
    assert validator.is_valid(document)


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of an object inside a schema, itself included."""
    yield from (part for part in _objects(schema) if isinstance(part.get("properties"), dict) and "type" in part)


@pytest.mark.parametrize("name", SCHEMA_FILES)
def test_every_field_is_described_and_required(name: str) -> None:
    """Each field says in a sentence what it holds, and keys never vanish: what is not known is null."""
    parts = list(_parts(schema_of(name)))
    assert len(parts) > 3
    for part in parts:
        fields = part["properties"]
        assert not [field for field in fields if not fields[field].get("description", "").endswith(".")]
        optional = set(fields) - set(part["required"])
        assert optional == ({"delivery", "dry_run"} if part is schema_of("otelmig.send/1") else set())


def test_files_agree_on_what_they_share() -> None:
    """Each file can be used alone, so definitions are repeated, word for word."""
    definitions: dict[str, Any] = {}
    repeated = set()
    for name in SCHEMA_FILES:
        for key, definition in schema_of(name).get("$defs", {}).items():
            if key in definitions:
                repeated.add(key)
            assert definitions.setdefault(key, definition) == definition, key
    assert repeated == {"migration", "interval", "iteration", "delivery", "tally"}


_SETS: Final[dict[str, Sequence[str]]] = {
    "vm.migration.result": ("result",),
    "vm.migration.mode": ("mode",),
    "vm.migration.guest.location": ("guest", "location"),
    "vm.migration.convergence.reason": ("convergence_reason",),
    "network.transport": ("network", "transport"),
    "otelmig.clock.status": ("clock", "status"),
    "otelmig.clock.domain": ("clock", "domain"),
    "otelmig.clock.epoch.origin": ("epoch_origin",),
    "otelmig.evidence.completeness": ("completeness",),
}
"""Attributes with a closed set of values, and where the summary shows them."""


def test_closed_sets_are_those_of_the_attribute_table() -> None:
    """A value that an attribute can have, the schema allows, and no other."""
    notes = {row.name: row.note for row in ATTRIBUTES}
    migration = schema_of("otelmig.summary/1")["$defs"]["migration"]
    for attribute, path in _SETS.items():
        part = migration
        for name in path:
            part = part["properties"][name]
        values = {value for value in part["enum"] if value is not None}
        assert values == set(re.findall(r"`(\w+)`", notes[attribute])), attribute
    delivery = schema_of("otelmig.send/1")["$defs"]["delivery"]
    assert set(delivery["properties"]["reasons"]["propertyNames"]["enum"]) == set(Reason)
    constraint = schema_of("otelmig.explain/1")["$defs"]["constraint"]
    assert set(constraint["properties"]["basis"]["enum"]) == set(Basis)

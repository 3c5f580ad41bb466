"""The questions that the documents and dashboards answer, each as a query: Jaeger's links, TraceQL, PromQL.

Every name in them is taken from the tables of attributes and spans, so that a name that changes there changes here.
``make golden`` writes them into docs/viewers.md and dashboards/; tests/backends runs each of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "JAEGER_LINKS",
    "TRACEQL",
    "Query",
    "query_blocks",
    "span_attribute",
]

_SOURCE: Final = f"migration-{Role.SOURCE}"
_ANY_TIME: Final = {"limit": "1000", "start": "1", "end": "4102444800000000"}
"""From 1970 to 2100, in microseconds: without a range Jaeger looks at the last hour or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question with the query that answers it."""

    name: str
    question: str
    """In the documents' words: a sentence or two."""
    text: str


def span_attribute(name: str) -> str:
    """Return how TraceQL names an attribute of a span."""
    return f"span.{name}"


def _link(operation: SpanName, tag: str, value: str) -> str:
    tags = json.dumps({tag: value}, separators=(",", ":"))
    return "/search?" + urlencode({"service": _SOURCE, "operation": str(operation), "tags": tags} | _ANY_TIME)


JAEGER_LINKS: Final = (
    Query(
        name="missed",
        question="Which migrations missed their target?",
        text=_link(SpanName.DOWNTIME, names.VM_MIGRATION_DOWNTIME_TARGET_MISSED, "true"),
    ),
    Query(
        name="failed",
        question="Which ones failed? (`timeout`, `cancellation` and `unknown` are results, too.)",
        text=_link(SpanName.MIGRATION, names.VM_MIGRATION_RESULT, Result.FAILURE),
    ),
    Query(
        name="cause",
        question="Which ones failed because the destination could not restore the VM?",
        text=_link(SpanName.MIGRATION, names.ERROR_TYPE, ErrorType.RESTORE_FAILED),
    ),
)
"""Links into Jaeger, exact on both of its stores: they look for tags, of which the store on disk has an index."""

_DOWNTIME: Final = f'name = "{SpanName.DOWNTIME}"'
_MISSED: Final = f"{_DOWNTIME} && {span_attribute(names.VM_MIGRATION_DOWNTIME_TARGET_MISSED)} = true"
_UNSUCCESSFUL: Final = f"{Result.FAILURE}|{Result.TIMEOUT}|{Result.UNKNOWN}"
_BLACKOUT: Final = ", ".join(
    span_attribute(name)
    for name in (
        names.VM_MIGRATION_BLACKOUT_MIN,
        names.VM_MIGRATION_BLACKOUT_DURATION,
        names.VM_MIGRATION_BLACKOUT_MAX,
    )
)

TRACEQL: Final = (
    Query(name="missed", question="Which migrations missed their target?", text=f"{{ {_MISSED} }}"),
    Query(
        name="own target",
        question="The same by the two numbers, each migration against its own target:",
        text=f"{{ {span_attribute(names.VM_MIGRATION_DOWNTIME_DURATION)} > "
        f"{span_attribute(names.VM_MIGRATION_DOWNTIME_TARGET)} }}",
    ),
    Query(
        name="threshold",
        question="Which ones were over a threshold of yours? (It also finds releases that print no downtime.)",
        text=f"{{ {_DOWNTIME} && duration > 300ms }}",
    ),
    Query(
        name="final delta",
        question="Which of them missed it because of the final delta?",
        text=f'{{ {_MISSED} }} > {{ name = "{SpanName.FINAL_DELTA}" && duration > 250ms }}',
    ),
    Query(
        name="failed",
        question="Which ones failed? (`status = error` is the wrong question: a span may have it in a migration that "
        "succeeds,\nand a migration with the result `unknown` has none.)",
        text=f'{{ {span_attribute(names.VM_MIGRATION_RESULT)} =~ "{_UNSUCCESSFUL}" }}',
    ),
    Query(
        name="all",
        question="How many are there?",
        text=f"{{ {_DOWNTIME} }} | count_over_time()",
    ),
    Query(
        name="all missed",
        question="How many missed their target? The share is this number by the one before.",
        text=f"{{ {_MISSED} }} | count_over_time()",
    ),
    Query(
        name="worst host",
        question="Which host is the worst? (It needs `--host`, or a transport that names the host.)",
        text=f"{{ {_DOWNTIME} }} | max_over_time(duration) by (resource.{names.HOST_NAME})",
    ),
    Query(
        name="pairs",
        question="Who migrates to whom, and how often? (Both hosts have to be known.)",
        text=f'{{ name = "{SpanName.MIGRATION}" }} | count_over_time() by ('
        f"{span_attribute(names.VM_MIGRATION_SOURCE_HOST_NAME)}, "
        f"{span_attribute(names.VM_MIGRATION_DESTINATION_HOST_NAME)})",
    ),
    Query(
        name="blackouts",
        question="How long did the guests stand still, with the bounds of each?",
        text=f'{{ name = "{SpanName.BLACKOUT}" }} | select({_BLACKOUT})',
    ),
)
"""Questions to Tempo, in the order in which the documents show them."""


def query_blocks(queries: Iterable[Query], language: str) -> str:
    """Return each question with its query in a block of code."""
    return "\n\n".join(f"{query.question}\n\n```{language}\n{query.text}\n```" for query in queries)

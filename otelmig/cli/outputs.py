"""Where traces go: a file, standard output, a receiver; and the report of what became of them."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from otelmig.cli.atomic_file import STDOUT, AtomicFile, is_stdout
from otelmig.cli.console import say
from otelmig.cli.envelope import RunReport
from otelmig.cli.links import say_links
from otelmig.cli.options.export import check_export_arguments, open_delivery, say_waiting
from otelmig.cli.sink import Sink
from otelmig.errors import FaultError, OtelmigError, UsageError
from otelmig.views.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Self

    from otelmig.cli.envelope import Envelope
    from otelmig.otlp.background import BackgroundDelivery
    from otelmig.otlp.delivery import Delivery
    from otelmig.pipeline import Findings
    from otelmig.trace.span import Trace

__all__ = ["Outputs", "TraceReport"]


class TraceReport(RunReport):
    """What became of the migrations in the logs."""

    schema: ClassVar[str] = "otelmig.summary/1"

    def __init__(self, envelope: Envelope) -> None:
        super().__init__()
        self.envelope = envelope
        self.findings: Findings | None = None
        """None until the inputs were read."""
        self.conflicts = 0
        """Migrations whose clocks contradict each other."""
        self.archive: Sink | None = None
        """The file of OTLP/JSON, which may be standard output."""
        self.written = 0
        """Traces in the file."""
        self.is_whole = False
        """Whether the file has its name; a file that is not whole is not there."""
        self.delivery: Delivery | None = None
        self.summaries: list[dict[str, object]] = []

    @property
    def complete(self) -> bool:
        """Whether the file was written and the receiver has every trace."""
        if self.archive is not None and self.archive.failed:
            return False
        return self.delivery is None or self.delivery.account.complete

    @property
    def check_failed(self) -> bool:
        """Whether the clocks of a migration contradict each other."""
        return bool(self.conflicts)

    def account(self) -> str:
        """Return how many migrations were found, written and exported, and how many lines were not understood."""
        if self.findings is None:
            return f"no trace was made{'' if self.archive is None else f', {self.archive.name} is not written'}"
        parts = [plural(self.found, "migration") + " found"]
        if self.conflicts:
            parts.append(f"{self.conflicts} with clocks that contradict each other")
        if self.archive is not None and self.archive.alive:
            whole = self.is_whole or self.archive is self.envelope.stdout
            name = self.archive.name
            parts.append(f"{self.written} written to {name}" if whole else f"{name} is not written")
        if self.delivery is not None:
            parts.append(self.delivery.account.words())
            unsettled = self.found - sum(tally.traces for tally in self.delivery.account.totals)
            if unsettled > 0:
                parts.append(f"{unsettled} not sent yet")
        lines = self.findings.not_understood
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(lines.items()))
        lost = f"{plural(lines.total(), 'line')} not understood{f' ({reasons})' if reasons else ''}"
        return f"{', '.join(parts)}; {lost}{self.envelope.unread()}"

    def document(self) -> Mapping[str, object]:
        """Return the summaries, the delivery, and what was not understood."""
        lines = {} if self.findings is None else dict(sorted(self.findings.not_understood.items()))
        return {
            "migrations": self.summaries,
            "delivery": None if self.delivery is None else self.delivery.document(),
            "not_understood": lines,
        }


class Outputs:
    """All outputs of one run; a context, which discards at its end what is not whole.

    They are opened before the logs are read, so that a wrong URL is reported at once.
    """

    def __init__(
        self, arguments: argparse.Namespace, envelope: Envelope, report: TraceReport, environ: Mapping[str, str]
    ) -> None:
        """Look at the options; if there is an export, ask the receiver whether it is one.

        Raises:
            UsageError: an option is malformed.
        """
        self._envelope, self._report = envelope, report
        self._waterfall = not (arguments.quiet or arguments.json)
        self._archive: AtomicFile | None = None
        self._background: BackgroundDelivery | None = None
        self._stack = ExitStack()
        self._link_template: str | None = arguments.link_template
        self._idents: list[str] = []
        """Of what is delivered, in order."""
        if arguments.output is not None:
            report.archive = Sink(arguments.output)
            if is_stdout(arguments.output):
                report.archive, self._waterfall = envelope.stdout, False
                if arguments.json:
                    raise UsageError(f"-o {STDOUT} and --json would both write to standard output")
        if arguments.otlp is not None or _environment_exports(environ):
            report.delivery = open_delivery(arguments, environ)
            report.delivery.preflight()
        else:
            check_export_arguments(arguments)

    def __enter__(self) -> Self:
        sink, delivery = self._report.archive, self._report.delivery
        if sink is not None and sink is not self._envelope.stdout:
            with sink.guarded():
                self._archive = self._stack.enter_context(AtomicFile(Path(sink.name)))
        if delivery is not None:
            from otelmig.otlp.background import BackgroundDelivery

            self._background = self._stack.enter_context(
                BackgroundDelivery(delivery, while_waiting=self._envelope.progress.update, on_wait=say)
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            self._stack.__exit__(kind, error, None)
        finally:  # a second interrupt does not wait for the last answer; what is kept is said all the same
            if self._report.delivery is not None and (kind is None or issubclass(kind, KeyboardInterrupt)):
                say_waiting(self._report.delivery)

    def put(self, trace: Trace) -> None:
        """Give one trace to every output; one that an output cannot take costs that output alone this one trace."""
        from otelmig.clock.proof import ClockStatus
        from otelmig.trace import attributes as names

        self._report.found += 1
        self._report.conflicts += trace.root.attributes.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.CONFLICT
        for output in (self._write, self._show, self._send):
            try:
                output(trace)
            except OtelmigError:
                raise
            except Exception as error:  # noqa: BLE001 - the edge of one trace: the others go on
                self._envelope.error([FaultError.of(f"trace {trace.trace_id}", error)])
        self._show_progress()

    def _show(self, trace: Trace) -> None:
        """Draw a trace, or sum it up for the JSON document."""
        if self._envelope.as_json:
            from otelmig.views.summary import summary

            self._report.summaries.append(summary(trace))
        elif self._waterfall and self._envelope.stdout.alive:
            from otelmig.views.waterfall import render_waterfall

            text = render_waterfall(trace, width=self._envelope.width, color=self._envelope.color)
            self._envelope.show(("" if self._report.found == 1 else "\n") + text.rstrip("\n"))

    def _send(self, trace: Trace) -> None:
        if self._background is not None:
            from otelmig.otlp.payload import Payload

            payload = Payload.of_trace(trace)
            self._background.add(payload)
            self._idents.append(payload.ident)

    def _show_progress(self) -> None:
        count, findings = self._report.found, self._report.findings
        if findings is not None and findings.is_whole:
            total = len(findings.migrations)
            self._envelope.progress.count(f"{count} of {plural(total, 'migration')}", share=count / total)
        else:
            self._envelope.progress.count(plural(count, "migration"))

    def finish(self) -> None:
        """Complete the file and wait for the delivery."""
        sink = self._report.archive
        if sink is not None and sink.alive:
            with sink.guarded():
                if self._archive is None:
                    sys.stdout.buffer.flush()
                else:
                    self._archive.finish()
            self._report.is_whole = sink.alive
        if self._background is not None:
            self._background.finish()
            self._say_links()

    def _say_links(self) -> None:
        delivery = self._report.delivery
        if delivery is not None and self._waterfall:
            here = [ident[:32] for ident in self._idents if delivery.has_settled(ident)]
            say_links(self._link_template, delivery.display_url, here)

    def _write(self, trace: Trace) -> None:
        sink = self._report.archive
        if sink is None or not sink.alive:
            return
        from otelmig.otlp.encoding.json_lines import json_line

        line = json_line(trace)
        file = sys.stdout.buffer if self._archive is None else self._archive.file
        with sink.guarded():
            file.write(line)
            self._report.written += 1


def _environment_exports(environ: Mapping[str, str]) -> bool:
    """Return whether the environment alone asks for an export; most environments do not speak of OpenTelemetry."""
    if not any(name.startswith("OTEL_") for name in environ):
        return False
    from otelmig.otlp.receiver.settings import environment_exports

    return environment_exports(environ)

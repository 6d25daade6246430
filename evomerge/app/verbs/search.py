"""``evomerge search``: a search, its confirmation and its report."""

from __future__ import annotations

import sys

from evomerge.app import running
from evomerge.app.config import RunConfig
from evomerge.app.interrupts import Interrupts
from evomerge.app.progress import ProgressLine
from evomerge.report import front_members
from evomerge.search import RepeatedFailures, SearchResult
from evomerge.store import RunStore

INTERRUPTED, FAILED = 130, 1


def run(config: RunConfig) -> int:
    """Runs the search and says what came of it."""
    with Interrupts() as interrupts:
        prepared = running.prepare(config, _say)
        for warning in prepared.assembly.warnings:
            _say(f"warning: {warning}")
        _say(_header(prepared))
        display = ProgressLine(config.progress)
        try:
            result = running.search(prepared, display, interrupts.stop)
        except RepeatedFailures as error:
            _say(f"evomerge: {error}")
            return FAILED
        finally:
            display.close()
    _summarise(prepared, result)
    return INTERRUPTED if result.reason == "stopped" else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _header(prepared: running.Prepared) -> str:
    assembly = prepared.assembly
    models = ", ".join(ref.label for ref in assembly.template.models)
    items = {task: len(ids) for task, ids in assembly.suite.items["search"].items()}
    asked = " + ".join(f"{count} {task}" for task, count in items.items())
    lines = [
        f"{assembly.template.method} of {models}: {assembly.spec.n_var} genes, {assembly.config.searcher.name}",
        f"items per candidate: {asked} = {sum(items.values())}; budget: {assembly.config.evaluations} candidates",
        f"run folder: {prepared.folder}",
    ]
    return "\n".join(lines)


def _summarise(prepared: running.Prepared, result: SearchResult) -> None:
    folder = prepared.folder
    members = front_members(RunStore.read(folder))
    winners = [member for member in members if any(member.beats_best_expert.values())]
    print(f"{result.evaluations} candidates scored in {result.batches} batches (stopped by: {result.reason})")
    confirmed = sum(member.test is not None for member in members)
    print(
        f"front: {len(members)} members, {confirmed} confirmed on held-out items; "
        f"{len(winners)} beat the best expert of an objective there (after Holm's correction)"
    )
    print(f"report: {folder / 'report.html'}")
    if result.reason == "stopped":
        print("interrupted before confirmation; go on with the same command")

"""``evomerge search``: a search, its confirmation and its report."""

from __future__ import annotations

import sys

from evomerge import executors
from evomerge.analysis.margin import HOLDS
from evomerge.cli.interrupts import Interrupts
from evomerge.cli.progress import ProgressLine
from evomerge.report import front_members
from evomerge.report.findings.scoring import scoring
from evomerge.report.results import Results
from evomerge.run import search
from evomerge.run.members import empty_front
from evomerge.run.run_config import RunConfig
from evomerge.search import RepeatedFailures, SearchResult
from evomerge.store import RunStore, candidates
from evomerge.texts import printable

INTERRUPTED, FAILED = 130, 1


def run(config: RunConfig) -> int:
    """Runs the search and says what came of it."""
    for note in config.notes:
        _say(note)
    with Interrupts() as interrupts:
        prepared = search.prepare(config, _say)
        for warning in prepared.assembly.warnings:
            _say(f"warning: {warning}")
        _say(_header(prepared))
        display = ProgressLine(config.progress)
        try:
            warn = lambda text: _say(f"warning: {text}")  # noqa: E731
            result = search.search(prepared, display, interrupts.stop, warn, _say)
        except RepeatedFailures as error:
            _say(f"evomerge: {error}")
            return FAILED
        finally:
            display.close()
    _summarise(prepared, result)
    return INTERRUPTED if result.reason == "stopped" else 0


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def _header(prepared: search.ReadySearch) -> str:
    assembly = prepared.assembly
    genes, sources = f"{assembly.spec.n_var} genes", assembly.template.sources
    if assembly.pool is not None:
        genes, sources = "some of them", assembly.experts
    models = ", ".join(ref.label for ref in sources)
    how = (
        assembly.template.method
        if assembly.config.genome.of_round(1, assembly.config.round.count).merges
        else "paths through layers"
    )
    items = {task: len(ids) for task, ids in assembly.suite.items["search"].items()}
    asked = " + ".join(f"{count} {task}" for task, count in items.items()) + f" = {sum(items.values())}"
    some = "" if assembly.config.allocation.plain else "some of "
    budget = assembly.config.budgets.evaluations
    lines = [
        f"{how} of {models}: {genes}, {assembly.config.searcher.name}",
        f"items per candidate: {some + asked if items else 'none, functions alone'}; budget: {budget} candidates",
        f"run folder: {prepared.folder}",
    ]
    return "\n".join(lines)


def _summarise(prepared: search.ReadySearch, result: SearchResult) -> None:
    folder = prepared.folder
    store = RunStore.read(folder)
    members = front_members(store)
    winners = [member for member in members if any(member.beats_best_expert.values())]
    held = sum(member.holding.verdict == HOLDS for member in members)
    print(_extent(result))
    stored = sum(not candidate.recommended for candidate in candidates(store))
    if result.reason != "stopped" and stored > result.evaluations:
        _say(
            f"warning: {stored} candidates are stored; the report shows the first {result.evaluations}, which is all "
            "that this budget allows; repeat the command with the larger budget to see all of them"
        )
    if not members:
        print(empty_front(store, result.evaluations))
    compared = sum(evaluation.name is None for evaluation in result.selected)
    if compared:
        print(f"promotion: {_count(compared, 'candidate')} compared on selection items, by which finalists were chosen")
    confirmed = sum(member.test is not None for member in members)
    print(
        f"front: {_count(len(members), 'member')}, {confirmed} confirmed on held-out items; "
        f"{len(winners)} beat the best expert of an objective there, {held} hold them all (after Holm's correction)"
    )
    for sentence in scoring(Results(store)):
        print(printable(" ".join(sentence.split())))  # without the spaces that hold numbers and nouns together
    print(f"report: {folder / 'report.html'}")
    if result.reason == "stopped":
        print(interrupted(prepared.assembly.config))


def interrupted(config: RunConfig) -> str:
    """The last words to people who interrupted a search: of a shared run, only this driver has left."""
    if executors.load(config.executor.name).external:
        return (
            "interrupted here, before the end; workers that share the run go on with it, and it stops when they leave"
        )
    return "interrupted before the end; go on with the same command"


def _count(number: int, thing: str, several: str = "") -> str:
    return f"{number} {thing if number == 1 else several or f'{thing}s'}"


def _extent(result: SearchResult) -> str:
    """How many candidates and batches there were, the one that a budget cut included, and what ended them."""
    batches = _count(result.batches + result.cut, "batch", "batches")
    cut = ", the last one cut by the budget" if result.batches and result.cut else ""
    cut = cut or (", cut by the budget" if result.cut else "")
    end = "interrupted" if result.reason == "stopped" else f"stopped by: {result.reason}"
    return f"{_count(result.evaluations, 'candidate')} scored in {batches}{cut} ({end})"

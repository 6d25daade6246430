"""Members of a finished run: which candidate a person means, and the responses that were recorded of it."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.errors import InputError, suggest
from evomerge.evaluation import PYTHON, RECOMMENDED, Constraint, Evaluation, Objective, Response
from evomerge.report import Member, archives, choice, front_members
from evomerge.report.findings.preference import FORMS, Written, is_preference, read_preference
from evomerge.report.results import Results
from evomerge.search import Criteria
from evomerge.store import RunStore, baselines, candidates

_SHORTEST_PREFIX = 6
_CELL = "cell:"


def find_member(store: RunStore, wanted: Written) -> str:
    """The digest of a member.

    Args:
        store: The run.
        wanted: An id or digest prefix, ``knee``, ``best:TASK``, ``recommended`` (the last, where a search was gone on
            with), the elite of a cell, ``cell:3-7``, or a preference: ``weights:0.7,0.3`` or ``reference:0.6,0.5``,
            numbers in the order of the objectives or each with its name, or a mapping of objectives to weights.

    Raises:
        InputError: If there is none, or several.
    """
    named = wanted if isinstance(wanted, str) else ""
    if named.startswith(_CELL):
        return _elite(store, named)
    members = front_members(store)
    if not members and (named == "knee" or named.startswith("best:") or is_preference(wanted)):
        raise InputError(
            f"member: there is nothing to export: {empty_front(store)}. A candidate that is not on the front can be "
            "exported by its digest, see evaluations.jsonl"
        )
    if named == "knee":
        found = [member.digest for member in members if member.knee]
    elif named == RECOMMENDED:
        found = _recommended(store)
    elif is_preference(wanted):
        found = [member.digest for member in _preferred(store, wanted) if member.knee]
    elif named.startswith("best:"):
        found = [_best(store, members, named.removeprefix("best:"))]
    else:
        digests = {e.digest for e in store.evaluations() if e.name is None and e.error is None}
        found = [d for d in digests if len(named) >= _SHORTEST_PREFIX and d.startswith(named)]
    if len(found) == 1:
        return found[0]
    ids = [member.id for member in members]
    known = f"members are {', '.join(ids[:8])}{', ...' if len(ids) > 8 else ''}; also knee, best:TASK, {FORMS}"
    known = known if members else empty_front(store)
    what = "stands for several candidates" if found else "is no member of this run"
    if named == RECOMMENDED and not found:
        what = "is nobody: the searcher recommended nothing beside its candidates"
    if named and len(named) < _SHORTEST_PREFIX and any(digest.startswith(named) for digest in ids):
        what = f"is too short for a digest; write {_SHORTEST_PREFIX} digits or more"
    raise InputError(f"member: {wanted!r} {what}{suggest(named, [*ids, 'knee'] if ids else [])} ({known})")


def _recommended(store: RunStore) -> list[str]:
    """The recommendation that the searcher gave at the end of the last session in which it gave any."""
    known = [e for e in store.evaluations("search") if e.recommended and e.error is None]
    last = max((e.batch for e in known), default=0)
    return sorted({e.digest for e in known if e.batch == last})


def _preferred(store: RunStore, wanted: Written) -> list[Member]:
    """The members, with the one that a preference picks as the chosen one."""
    objectives = [Objective.from_json(data) for data in store.manifest["objectives"]]
    return front_members(store, read_preference("member", wanted, objectives))


def _elite(store: RunStore, wanted: str) -> str:
    """The digest of a cell's elite."""
    elites = [elite for archive in archives(Results(store)) for elite in archive.elites]
    found = [elite.digest for elite in elites if elite.name == wanted]
    if found:
        return found[0]
    names = [elite.name for elite in elites]
    if not names:
        raise InputError(f"member: {wanted!r} is no member of this run: its searcher keeps no archive of elites")
    known = f"cells with an elite are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}, see archive.json"
    raise InputError(f"member: {wanted!r} has no elite{suggest(wanted, names)} ({known})")


def _best(store: RunStore, members: Sequence[Member], task: str) -> str:
    objectives = [Objective.from_json(data) for data in store.manifest["objectives"]]
    names = {objective.label: objective for objective in objectives}
    for objective in objectives:
        for _, key in objective.terms:
            names.setdefault(key.rpartition(".")[0], objective)
    chosen = names.get(task)
    if chosen is None:
        raise InputError(
            f"member: there is no objective on {task!r}{suggest(task, names)} (there are {', '.join(names)})"
        )
    sign = 1.0 if chosen.higher_is_better else -1.0
    pool, split = choice(members)
    return max(pool, key=lambda member: sign * member.scores(split)[chosen.label].mean).digest


def empty_front(store: RunStore, count: int | None = None) -> str:
    """Why a run's front is empty: what went wrong, or which candidate came nearest to the constraints.

    Args:
        store: The run.
        count: Only so many of the first candidates; None is all.
    """
    found = candidates(store)[:count]
    if not found:
        return "no candidate has been scored yet"
    constraints = [Constraint.from_json(data) for data in store.manifest["constraints"]]
    objectives = [Objective.from_json(data) for data in store.manifest["objectives"]]
    nearest = Criteria(objectives, constraints, baselines(store, "search")).nearest(found)
    if nearest is None:
        first = found[0].error
        return "no candidate could be scored" + (f" ({first.kind}: {first.message})" if first else "")
    candidate, missed = nearest
    metrics = {constraint.label: candidate.metrics[constraint.metric] for constraint in constraints}
    parts = [f"{label} by {by:.4g} (it has {metrics[label]:.4g})" for label, by in missed.items()]
    return f"no candidate meets the constraints; the nearest, {candidate.digest[:12]}, misses {', '.join(parts)}"


def recorded_answers(store: RunStore, recorded: Evaluation) -> list[Response]:
    """All responses of a candidate: a comparison with a part of them would check less than it says.

    Args:
        store: The run.
        recorded: The candidate's evaluation.

    Raises:
        InputError: If answers are missing or cannot be read.
    """
    answers = [response for response in store.responses(recorded) if response.task != PYTHON]
    found = len({(answer.task, answer.item) for answer in answers})
    if not found or found != len(answers) or found != recorded.items:
        raise InputError(
            f"the run's answers are missing: {recorded.items} {recorded.split} items were scored, and "
            f"{store.folder / 'responses'} holds the answers to {found}; without them no export can be checked"
        )
    return answers

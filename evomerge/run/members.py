"""Which candidate of a run a person means."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.errors import InputError, suggest
from evomerge.evaluation import Objective
from evomerge.report import Member, front_members
from evomerge.run.answers import reading_answers
from evomerge.store import RunStore

_SHORTEST_PREFIX = 6


def find_member(store: RunStore, wanted: str) -> str:
    """The digest of a member.

    Args:
        store: The run.
        wanted: An id or digest prefix, ``knee``, or ``best:TASK``.

    Raises:
        InputError: If there is none, or several.
    """
    with reading_answers(store):
        members = front_members(store)
    if wanted == "knee":
        found = [member.digest for member in members if member.knee]
    elif wanted.startswith("best:"):
        found = [_best(store, members, wanted.removeprefix("best:"))]
    else:
        digests = {e.digest for e in store.evaluations() if e.name is None and e.error is None}
        found = [d for d in digests if len(wanted) >= _SHORTEST_PREFIX and d.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    ids = [member.id for member in members]
    known = f"members are {', '.join(ids[:8])}{', ...' if len(ids) > 8 else ''}; also knee and best:TASK"
    what = "stands for several candidates" if found else "is no member of this run"
    raise InputError(f"member: {wanted!r} {what}{suggest(wanted, [*ids, 'knee'])} ({known})")


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
    if not members:
        raise InputError("member: the front of this run is empty")
    sign = 1.0 if chosen.higher_is_better else -1.0
    return max(members, key=lambda member: sign * member.search_scores[chosen.label].mean).digest

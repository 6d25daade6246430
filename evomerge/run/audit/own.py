"""evomerge's own per-item files: a run's folder, the file of ``evaluate``, and responses one a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evomerge.errors import InputError, suggest
from evomerge.evaluation import PYTHON, SPLITS, Evaluation, Response
from evomerge.evaluation.samples import DOCUMENT, ITEM, Sample, Samples
from evomerge.run.members import find_member
from evomerge.store import RunStore, baselines, described_items

_OPTIMISTIC = "these items chose among the candidates, so what is best on them looks better than it is"


def is_response(data: Mapping[str, Any]) -> bool:
    """Whether an object is one response as evomerge writes it."""
    return (
        isinstance(data.get("task"), str)
        and isinstance(data.get("item"), str)
        and isinstance(data.get("metrics"), Mapping)
    )


def read_run(where: str, folder: Path, name: str, split: str) -> Samples:
    """Reads the answers of one model of a run.

    Args:
        where: What to call it.
        folder: The run's folder.
        name: The model: ``base``, ``expert:LABEL``, ``uniform``, a member's id, ``knee``, ``best:TASK``
            or a preference, see :func:`~evomerge.run.members.find_member`.
        split: The split whose items are compared.

    Raises:
        InputError: If there is no such model, it has no scores there, or the folder is damaged.
    """
    store = RunStore.read(folder)
    evaluation = _evaluation(where, store, name, split)
    responses = [response for response in store.responses(evaluation) if response.task != PYTHON]
    if not responses:
        raise InputError(f"{where}: the run holds no answers of it to {split} items")
    candidates = [e for e in store.evaluations(split) if e.name is None and e.error is None]
    chosen = evaluation.name is None
    fields = {
        task: entry["cluster"] for task, entry in (store.manifest.get("tasks") or {}).items() if "cluster" in entry
    }
    warnings = (f"{where}: {_OPTIMISTIC}; compare on split=test",) if chosen and split != "test" else ()
    described = described_items(store)
    return Samples(
        where,
        tuple(_sample(response, described.get(response.item, {})) for response in responses),
        fields,
        _generated(responses),
        tried=len({e.digest for e in candidates}) if chosen else 1,
        warnings=warnings,
    )


def model_names(folder: Path) -> str:
    """The models of a run that can be named, for messages."""
    store = RunStore.read(folder)
    names = list(dict.fromkeys(name for split in SPLITS for name in baselines(store, split)))
    return ", ".join([*names, "knee", "best:TASK", "weights:0.7,0.3", "reference:0.6,0.5", "a member's id"])


def _evaluation(where: str, store: RunStore, name: str, split: str) -> Evaluation:
    known = baselines(store, split)
    everywhere = {other for one in SPLITS for other in baselines(store, one)}
    if name in everywhere:
        found = known.get(name)
    else:
        try:
            found = store.lookup(find_member(store, name), split)
        except InputError as error:
            told = "; ".join(problem.removeprefix("member: ") for problem in error.problems)
            raise InputError(
                f"{where}: {told}; models are {', '.join(sorted(everywhere))} too{suggest(name, everywhere)}"
            ) from error
    if found is None:
        others = [one for one in SPLITS if store.evaluations(one)]
        raise InputError(
            f"{where}: {name} has no scores on {split} items; the run has scores on {', '.join(others)} items"
        )
    if found.error is not None:
        raise InputError(f"{where}: {name} failed on {split} items: {found.error.message.splitlines()[0]}")
    return found


def read_evaluation(where: str, data: Mapping[str, Any]) -> Samples:
    """Reads what ``evaluate out=FILE`` wrote.

    Raises:
        InputError: If its responses are damaged.
    """
    described, fields = (data.get(name) for name in ("items", "clusters"))
    found = of_responses(where, enumerate(data["responses"], 1), described if isinstance(described, Mapping) else {})
    return replace(found, cluster_fields=fields) if isinstance(fields, Mapping) else found


def of_responses(where: str, entries: Iterable[tuple[int, Any]], described: Mapping[str, Any] | None = None) -> Samples:
    """Responses as evomerge writes them, with the number of each in its file.

    Raises:
        InputError: If one is damaged, or an item is answered twice.
    """
    problems: list[str] = []
    first: dict[tuple[str, str], int] = {}
    responses: list[Response] = []
    for number, entry in entries:
        if not isinstance(entry, Mapping) or not is_response(entry):
            problems.append(f"{where}, response {number}: expected task, item and metrics")
            continue
        try:
            response = Response.from_json(entry)
        except (TypeError, ValueError) as error:
            problems.append(f"{where}, response {number}: {error}")
            continue
        before = first.setdefault(response.key, number)
        if before != number:
            problems.append(f"{where}, response {number}: item {response.item} is answered twice, first in {before}")
            continue
        responses.append(response)
    if len(problems) > 3:
        problems = [*problems[:3], f"{where}: {len(problems) - 3} more of its responses are no better"]
    if problems:
        raise InputError(problems)
    if not responses:
        raise InputError(f"{where} holds no responses")
    about = {item: entry for item, entry in (described or {}).items() if isinstance(entry, Mapping)}
    samples = tuple(_sample(response, about.get(response.item, {})) for response in responses)
    return Samples(where, samples, generated=_generated(responses))


def _generated(responses: Iterable[Response]) -> dict[str, tuple[int, ...]]:
    """Tasks whose answers were generated; responses do not say up to which length."""
    return {response.task: () for response in responses if response.texts}


def _sample(response: Response, about: Mapping[str, Any]) -> Sample:
    keys = {ITEM: response.item}
    if isinstance(about.get("doc_hash"), str):
        keys[DOCUMENT] = about["doc_hash"]
    return Sample(
        response.task,
        keys,
        response.metrics,
        response.truncated if response.texts else None,
        {name: about[name] for name in ("subtask", "cluster") if about.get(name) is not None},
        about.get("cluster"),
    )

"""Items that several files have in common, with the values of each model on them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.analysis import Stratum
from evomerge.errors import InputError, suggest
from evomerge.evaluation.samples import KEYS, Sample, Samples
from evomerge.report.audit.clustering import labels_of

Found = Mapping[tuple[str, int], Sample]  # by the item's name, and its number among items of that name


@dataclass(frozen=True)
class Paired:
    """Models on the same items.

    Attributes:
        strata: Each model's items by task, in the order of the files; the same items in all.
        cluster: The field whose values items of a cluster share; empty where each item stands alone.
        warnings: Sentences on the pairing that people should read.
    """

    strata: tuple[tuple[Stratum, ...], ...]
    cluster: str
    warnings: tuple[str, ...]

    @property
    def items(self) -> int:
        """Number of items that all models answered."""
        return sum(len(stratum.items) for stratum in self.strata[0])

    @property
    def clusters(self) -> int:
        """Number of clusters that they form; an item that stands alone is one."""
        return sum(len(set(stratum.clusters or stratum.items)) for stratum in self.strata[0])


def pair(files: Sequence[Samples], metric: str, cluster: str | None) -> Paired:
    """Pairs the answers of several models by item.

    Args:
        files: The answers of each model.
        metric: The metric, or ``TASK.METRIC``.
        cluster: The field of documents by which they belong together; None: what the files record.

    Raises:
        InputError: If tasks differ, no item is common, or an item has no such metric.
    """
    task, name = _task_and_name(files, metric)
    chosen = [_of_task(file, task) for file in files]
    warnings: list[str] = []
    by_task = _by_task(chosen)
    kind = _kind(files, by_task)
    found = {task: [_numbered(own, kind) for own in models] for task, models in by_task.items()}
    common = {task: _common(models) for task, models in found.items()}
    if not any(common.values()):
        raise InputError(_nothing_common(files, chosen, kind))
    warnings += _left_out(files, found, common)
    paired = {
        task: [[own[key] for key in common[task]] for own in models] for task, models in found.items() if common[task]
    }
    problems = [
        problem
        for place, file in enumerate(files)
        if (problem := _metric_problem(file, [s for models in paired.values() for s in models[place]], name))
    ]
    if problems:
        raise InputError(problems)
    labels, field, told = labels_of(files, paired, cluster)
    total = sum(map(len, (common[task] for task in paired)))
    strata = tuple(
        tuple(
            _stratum(task, common[task], models[place], (name, labels.get(task), len(common[task]) / total))
            for task, models in paired.items()
        )
        for place in range(len(files))
    )
    return Paired(strata, field, (*warnings, *told, *_asked_otherwise(paired)))


def _task_and_name(files: Sequence[Samples], metric: str) -> tuple[str | None, str]:
    """The task that ``TASK.METRIC`` names, and the metric; no task where the whole is a metric's name."""
    tasks = sorted({task for file in files for task in file.tasks if task}, key=len, reverse=True)
    task = next((task for task in tasks if metric.startswith(f"{task}.")), None)
    return task, metric if task is None else metric.removeprefix(f"{task}.")


def _of_task(file: Samples, task: str | None) -> list[Sample]:
    return [sample for sample in file.samples if task is None or sample.task in (task, "")]


def _by_task(chosen: Sequence[Sequence[Sample]]) -> dict[str, list[list[Sample]]]:
    """Task to the samples of each model; what does not say its task is taken for that of the others."""
    named = list(dict.fromkeys(sample.task for own in chosen for sample in own if sample.task)) or [""]
    if len(named) > 1 and any(not sample.task for own in chosen for sample in own):
        raise InputError(
            f"metric: the files are of several tasks ({', '.join(named)}), and one does not say which; name one file "
            "per task, or keep lm-eval's names samples_TASK_DATE.jsonl"
        )
    return {task: [[s for s in own if (s.task or named[0]) == task] for own in chosen] for task in named}


def _kind(files: Sequence[Samples], by_task: Mapping[str, Sequence[Sequence[Sample]]]) -> str:
    """The kind of name that all files have for all items."""
    missing = {task: models for task, models in by_task.items() if not all(models)}
    if missing:
        tasks = [f"{file.where} is of {', '.join(filter(None, file.tasks)) or 'an unnamed task'}" for file in files]
        raise InputError(
            f"the files are of different tasks: {'; '.join(tasks)}. Compare answers to the same task: "
            "metric=TASK.METRIC takes one of several"
        )
    everything = [sample for models in by_task.values() for own in models for sample in own]
    for kind in KEYS:
        if all(kind in sample.keys for sample in everything):
            return kind
    raise InputError(
        f"{' and '.join(file.where for file in files)} name their items in different ways, so none can be found in the "
        "other: lm-eval's samples and evomerge's runs and evaluations share document hashes; Inspect's logs can be "
        "compared with each other, lines of responses without their items too"
    )


def _numbered(own: Sequence[Sample], kind: str) -> Found:
    """Samples by name; equal documents, which data sets do hold, by their order."""
    seen: Counter[str] = Counter()
    found: dict[tuple[str, int], Sample] = {}
    for sample in own:
        key = sample.keys[kind]
        found[key, seen[key]] = sample
        seen[key] += 1
    return found


def _common(models: Sequence[Found]) -> list[tuple[str, int]]:
    return sorted(set(models[0]).intersection(*models[1:]))


def _nothing_common(files: Sequence[Samples], chosen: Sequence[Sequence[Sample]], kind: str) -> str:
    first = [f"{own[0].keys[kind][:16]} in {file.where}" for file, own in zip(files, chosen, strict=True)]
    return (
        f"no {kind} is common to the files (the first is {', '.join(first)}): they are of different data, of different "
        "versions of it, or of different samples of its items"
    )


def _left_out(files: Sequence[Samples], found: Mapping[str, Sequence[Found]], common: Mapping[str, list]) -> list[str]:
    both = sum(map(len, common.values()))
    told = []
    for place, file in enumerate(files):
        rest = sum(len(models[place]) for models in found.values()) - both
        if rest:
            told.append(
                f"{rest} of {rest + both} items of {file.where} have no partner in the other files and are left out: "
                f"the comparison is of {both} items"
            )
    return told


def _metric_problem(file: Samples, samples: Sequence[Sample], name: str) -> str | None:
    """Why a metric cannot be compared in a file; None where it can."""
    missing = [sample for sample in samples if name not in sample.metrics]
    if missing:
        where = "" if len(missing) == len(samples) else f" on {len(missing)} of {len(samples)} items"
        return f"metric: {file.where} has no {name!r}{where}{_instead(samples, missing, name)}"
    wrong = next((s.metrics[name] for s in samples if _number(s.metrics[name]) is None), None)
    bad = sum(_number(sample.metrics[name]) is None for sample in samples)
    if bad:
        shown = str(wrong)[:40]
        return (
            f"metric: {name!r} of {file.where} is no finite number on {bad} of {len(samples)} items, the first is "
            f"{shown}: it is not a mean over items, so it cannot be compared by item"
        )
    return None


def _instead(samples: Sequence[Sample], missing: Sequence[Sample], name: str) -> str:
    """The task or the metric to name in the place of one that is missing."""
    without = {sample.task for sample in missing}
    if task := next((sample.task for sample in samples if sample.task not in without), ""):
        return f", which are of {', '.join(sorted(without))}; metric={task}.{name} compares {task} alone"
    known = sorted({one for sample in missing for one in sample.metrics})
    near = suggest(name, known) or next((f"; did you mean {one!r}?" for one in known if one.startswith(f"{name},")), "")
    return f"{near} (there are {', '.join(known) or 'none'})"


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, bool | int | float) and math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


def _stratum(
    task: str,
    keys: Sequence[tuple[str, int]],
    samples: Sequence[Sample],
    how: tuple[str, tuple[str, ...] | None, float],
) -> Stratum:
    name, labels, weight = how
    known = [sample.truncated for sample in samples]
    truncated = None if any(value is None for value in known) else np.array(known, dtype=np.bool_)
    values = np.array([float(sample.metrics[name]) for sample in samples])
    return Stratum(task, tuple(f"{key}-{n}" for key, n in keys), values, weight, labels, truncated)


def _asked_otherwise(paired: Mapping[str, Sequence[Sequence[Sample]]]) -> list[str]:
    """A warning where prompts of the same items differ."""
    rows = [row for models in paired.values() for row in zip(*models, strict=True)]
    differ = sum(len({sample.prompt for sample in row if sample.prompt is not None}) > 1 for row in rows)
    if not differ:
        return []
    return [
        f"the models were asked {differ} of {len(rows)} items in other words (examples, templates): the difference is "
        "one of prompts too"
    ]

"""Clusters of the items of an audit: a field that the user names, what the files record, or equal documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from evomerge.errors import InputError, suggest
from evomerge.evaluation.samples import DOCUMENT, Sample, Samples

Paired = Mapping[str, Sequence[Sequence[Sample]]]  # task to the paired samples of each model
Labels = Mapping[str, tuple[str, ...]]  # task to the cluster of each item

_REPEATED = 0.5  # share of different values below which a long field looks like a shared passage
_LONG = 40  # characters


def labels_of(files: Sequence[Samples], paired: Paired, cluster: str | None) -> tuple[Labels, str, list[str]]:
    """The clusters of paired items.

    Args:
        files: The answers of each model.
        paired: The items that all of them answered.
        cluster: The field that the user names; None: what the files record.

    Returns:
        Task to one label per item, where items belong together; the field; and warnings.

    Raises:
        InputError: If no file holds the field.
    """
    if cluster is not None:
        return _named(files, paired, cluster), cluster, []
    recorded = {task: labels for task, models in paired.items() if (labels := _recorded(models)) is not None}
    if recorded:
        fields = {field for file in files for task, field in file.cluster_fields.items() if task in recorded}
        return recorded, ", ".join(sorted(fields)) or "recorded", []
    twins = {task: _twins(models[0]) for task, models in paired.items()}
    told = [
        f"the documents share values of {field!r} ({different} different ones of {count}): if they are about the same "
        f"text, cluster={field} counts them together"
        for models in paired.values()
        for field, different, count in _shared(models)
    ]
    return {task: labels for task, labels in twins.items() if labels is not None}, "", told


def _named(files: Sequence[Samples], paired: Paired, cluster: str) -> Labels:
    found: dict[str, tuple[str, ...]] = {}
    for task, models in paired.items():
        if any(file.cluster_fields.get(task) == cluster for file in files) and (own := _recorded(models)) is not None:
            found[task] = own
            continue
        values = next(
            (v for m in models if (v := [s.fields.get(cluster) for s in m]) and any(x is not None for x in v)), None
        )
        if values is None:
            known = sorted({name for own in models for sample in own for name in sample.fields})
            held = f"the fields are {', '.join(known)}" if known else "the files hold no fields of documents"
            raise InputError(f"cluster: no document has the field {cluster!r}{suggest(cluster, known)} ({held})")
        found[task] = _with_alone([None if value is None else json.dumps(value, sort_keys=True) for value in values])
    return found


def _recorded(models: Sequence[Sequence[Sample]]) -> tuple[str, ...] | None:
    """The clusters that the first of the files with any records."""
    for own in models:
        labels = [sample.cluster for sample in own]
        if any(label is not None for label in labels):
            return _with_alone(labels)
    return None


def _with_alone(labels: Sequence[str | None]) -> tuple[str, ...]:
    """Labels in which items without one stand alone."""
    return tuple(f"alone {place}" if label is None else f"in {label}" for place, label in enumerate(labels))


def _twins(samples: Sequence[Sample]) -> tuple[str, ...] | None:
    """Equal documents as clusters; None where there are none."""
    names = [sample.keys.get(DOCUMENT) for sample in samples]
    return _with_alone(names) if len(set(names)) < len(names) and None not in names else None


def _shared(models: Sequence[Sequence[Sample]]) -> list[tuple[str, int, int]]:
    """The longest text field whose values most documents share with others, with how many there are."""
    own = next((samples for samples in models if any(sample.fields for sample in samples)), [])
    found = []
    for field in {name for sample in own for name in sample.fields}:
        texts = [value for sample in own if isinstance(value := sample.fields.get(field), str) and len(value) >= _LONG]
        if len(texts) == len(own) and len(set(texts)) <= _REPEATED * len(own):
            found.append((len("".join(texts)), field, len(set(texts)), len(own)))
    return [max(found)[1:]] if found and max(found)[2] > 1 else []

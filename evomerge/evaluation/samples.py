"""Answers of one model, item by item, from a file of any tool: what a comparison of two models needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Kinds of names by which two files speak of the same item, the most widely understood first.
DOCUMENT, ITEM, SAMPLE = "document", "item", "sample"
KEYS = (DOCUMENT, ITEM, SAMPLE)


@dataclass(frozen=True)
class Sample:
    """One item as one model answered it.

    Attributes:
        task: Its task; empty where the file does not say.
        keys: Kind of name to the item's name: ``document``, lm-eval's hash of its document; ``item``, evomerge's id;
            ``sample``, a hash of what an Inspect log asked.
        metrics: Values by metric name; what is no number is kept as it is.
        truncated: Whether a generated answer reached its length limit; None where nobody knows, or nothing was
            generated.
        fields: The document's own fields, as far as the file holds them.
        cluster: Its recorded cluster.
        prompt: A hash of the prompt, where the file holds one.
    """

    task: str
    keys: Mapping[str, str]
    metrics: Mapping[str, Any]
    truncated: bool | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    cluster: str | None = None
    prompt: str | None = None


@dataclass(frozen=True)
class Samples:
    """One model's answers.

    Attributes:
        where: The file or folder, as a person named it.
        samples: The answers, each item once.
        cluster_fields: Task to the field that its recorded clusters are the values of.
        generated: Tasks whose answers were generated, with the lengths up to which they were, in tokens, as far as the
            file says.
        tried: Number of models known to have been compared on these items, of which this one may have been chosen.
        warnings: Sentences on the file that people should read.
    """

    where: str
    samples: tuple[Sample, ...]
    cluster_fields: Mapping[str, str] = field(default_factory=dict)
    generated: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tried: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in order."""
        return tuple(dict.fromkeys(sample.task for sample in self.samples))

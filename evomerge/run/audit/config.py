"""The configuration of an audit; fields are declared as those of a search."""

from __future__ import annotations

from dataclasses import dataclass, field

from evomerge.evaluation import SPLITS
from evomerge.settings import setting

_ANSWERS = "RUN:knee (RUN:base, ...), a file of evaluate, lm-eval's samples_*.jsonl, or a log of Inspect's"


@dataclass(frozen=True)
class AuditConfig:
    """The configuration of ``audit``."""

    a: str = field(metadata=setting(f"the model that is claimed to be better: {_ANSWERS}"))
    b: str = field(metadata=setting("the model that it is compared with, in the same ways"))
    c: tuple[str, ...] = field(default=(), metadata=setting("more models to compare it with"))
    metric: str = field(default="acc", metadata=setting("the metric, or TASK.METRIC"))
    cluster: str | None = field(
        default=None,
        metadata=setting("the field of documents that belong together; null: what the files record"),
    )
    tried: int | None = field(
        default=None,
        metadata=setting("how many models the first was the best of; null: as many as a run scored, else 1", low=1),
    )
    split: str = field(default="test", metadata=setting("which items of a run's folder", choices=SPLITS))
    json: str | None = field(default=None, metadata=setting("a JSON file for the same as data"))

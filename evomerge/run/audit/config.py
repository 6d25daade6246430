"""The configuration of an audit; fields are declared as those of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.evaluation import SPLITS
from evomerge.run.paths import expanded, is_file
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


def answers_kept(values: Mapping[str, Any]) -> list[str]:
    """Whether what an audit writes would replace answers that it reads."""
    if values.get("json") is None:
        return []
    target = expanded(values["json"]).resolve()
    named = [(key, values[key]) for key in ("a", "b") if key in values] + [("c", word) for word in values.get("c", ())]
    return [
        f"json: {values['json']} holds answers of {key}, which it would replace; name another file"
        for key, word in named
        if is_file(target) and target.is_relative_to(expanded(word).resolve())
    ]

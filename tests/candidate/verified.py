"""Parts of tests of verification: a known candidate, a worker verified again, answers of another first worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge import methods
from evomerge.candidate import Verification, Worker, WorkerSettings
from evomerge.candidate.devices import device_details
from evomerge.candidate.known_answers import ANSWERS
from evomerge.candidate.verification import Examined, verify
from evomerge.errors import InputError
from evomerge.evaluation import Job, Outcome
from evomerge.fitness import TaskSuite
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe

TOLD = """
task: told
dataset_path: json
dataset_kwargs: {data_files: {test: first.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: '{{question}}'
doc_to_target: '{{options[0]}}'
generation_kwargs: {until: ["\\n"], max_gen_toks: 4, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def average(refs: tuple[CheckpointRef, ...]) -> Recipe:
    weight = np.full((1, len(refs)), 1.0 / len(refs))
    options = methods.load("linear").resolve({})
    return Recipe("linear", options, refs, None, ParameterGroups((Group("all"),)), {"weight": weight})


def again(wanted: Verification, worker: Worker, **changes: Any) -> None:
    """Verifies a worker once more."""
    bare = tuple((name, without_fingerprints(recipe)) for name, recipe in wanted.recipes)
    items = worker.scorer.suite.items["search"]  # type: ignore[union-attr]
    changes = {"recipes": bare} | changes
    verify(replace(wanted, **changes), Examined(items, worker, worker.live.checksum, {"device": device_details("cpu")}))


def without_fingerprints(recipe: Recipe) -> Recipe:
    return replace(recipe, sources=tuple(replace(source, fingerprint=None) for source in recipe.sources))


def refusal(settings: WorkerSettings, suite: TaskSuite | None = None) -> tuple[str, ...]:
    with pytest.raises(InputError) as refused:
        Worker(settings, suite)
    return refused.value.problems


def changed(settings: WorkerSettings, **changes: Any) -> WorkerSettings:
    assert settings.verification is not None
    return replace(settings, verification=replace(settings.verification, **changes))


def known(folder: Path) -> dict[str, Any]:
    return json.loads((folder / ANSWERS).read_text(encoding="utf-8"))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Makes the answers those of another first worker."""
    found = known(folder)
    change(found)
    (folder / ANSWERS).write_text(json.dumps(found))
    return found


class Broken(Worker):
    """A worker whose memory gives NaN."""

    def __call__(self, job: Job) -> Outcome:
        self.live.model.get_input_embeddings().weight.fill_(float("nan"))
        self.live.install = lambda *_: ()  # type: ignore[method-assign, assignment]
        return super().__call__(job)

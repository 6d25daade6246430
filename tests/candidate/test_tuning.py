"""How models are run is found out once, and then belongs to the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.candidate import WorkerSettings, load_tokenizer, resolve_dtype, suite_digest, tune, tuning
from evomerge.candidate.tuning import width
from evomerge.checkpoints import open_source
from evomerge.fitness import PLAINLY, FitnessSettings, TaskSuite
from evomerge.recipe import CheckpointRef
from tests.building import tiny
from tests.candidate.clock import Clock
from tests.run.family import write_task

READINGS = 8  # of a measurement: the beginning and the end of four runs


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("stored", "hidden", "device", "expected"),
    [
        (torch.float32, 512, "cpu", {"float32"}),
        (torch.float16, 512, "cpu", {"float32"}),
        (torch.bfloat16, 16, "cpu", {"float32"}),
        (torch.bfloat16, 512, "cpu", {"float32", "bfloat16"}),  # whichever this machine is fast at
        (torch.bfloat16, 16, "cuda", {"bfloat16"}),
        (torch.float16, 16, "cuda", {"float16"}),
        (torch.float32, 16, "cuda", {"float32"}),
    ],
)
def test_the_number_type_follows_weights_and_machine(
    tmp_path: Path, stored: torch.dtype, hidden: int, device: str, expected: set[str]
) -> None:
    changes: dict[str, Any] = {"hidden_size": hidden, "head_dim": 4}
    reference = open_source(tiny("llama", tmp_path, 0, dtype=stored, **changes))
    assert width(reference) == hidden
    assert resolve_dtype("auto", reference, device) in expected
    assert resolve_dtype("float16", reference, device) == "float16"


class Tuned:
    """The runtime that is found for a model of some width, each of which is made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[int, bool], tuple[WorkerSettings, TaskSuite]] = {}

    def __call__(self, hidden: int, threads: Sequence[int], generating: bool = False) -> tuning.Tuning:
        return tune(*self.made(hidden, generating), threads)

    def made(self, hidden: int, generating: bool) -> tuple[WorkerSettings, TaskSuite]:
        key = (hidden, generating)
        if key not in self._made:
            self._made[key] = self._make(self._folder / str(len(self._made)), hidden, generating)
        return self._made[key]

    def _make(self, folder: Path, hidden: int, generating: bool) -> tuple[WorkerSettings, TaskSuite]:
        changes: dict[str, Any] = {"hidden_size": hidden, "head_dim": 4}
        base = tiny("llama", folder / "base", 0, **changes)
        write_task(folder, "first", 10)
        if generating:
            place = folder / "first.yaml"
            text = place.read_text().replace("multiple_choice", "generate_until")
            text = text.replace("doc_to_choice: options\n", "").replace("metric: acc", "metric: exact_match")
            place.write_text(text + "generation_kwargs: {max_gen_toks: 2}\n")
        fitness = FitnessSettings(("first",), (str(folder),), max_length=64)
        suite = TaskSuite.build(fitness, load_tokenizer(base), config=open_source(base).config)
        reference = CheckpointRef(str(base))
        return WorkerSettings(reference, ((reference, str(base)),), fitness, suite_digest(suite)), suite


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return Tuned(tmp_path_factory.mktemp("tuned"))


@pytest.mark.parametrize(
    ("seconds", "chosen", "measured", "readings"),
    [
        ({1: 1.0, 2: 0.9}, 1, {1, 2}, 2 * READINGS),
        ({1: 1.0, 2: 0.5}, 2, {1, 2}, 2 * READINGS),
        ({1: 0.1, 2: 1.9}, 1, {1, 2}, 2 * READINGS),
        ({1: 3.0, 2: 1.9}, 2, {1, 2}, READINGS + 2),  # one long run says enough
        ({1: 0.1, 2: 2.1}, 2, {2}, 2),  # so long that fewer threads are not tried
    ],
)
def test_threads_follow_from_measured_seconds(
    tuned: Tuned,
    monkeypatch: pytest.MonkeyPatch,
    seconds: Mapping[int, float],
    chosen: int,
    measured: set[int],
    readings: int,
) -> None:
    clock = Clock.by_threads(seconds)
    monkeypatch.setattr(tuning, "time", clock)
    found = tuned(256, (1, 2))
    assert found.threads == chosen
    assert found.seconds == pytest.approx({count: seconds[count] for count in measured})
    assert clock.readings == readings


def test_tasks_that_only_generate_are_timed_by_a_prompt(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "time", Clock.by_threads({1: 1.0, 2: 0.5}))
    found = tuned(256, (1, 2), generating=True)
    assert (found.threads, set(found.seconds)) == (2, {1, 2})


def test_a_width_that_no_configuration_names_is_that_of_the_weights(tmp_path: Path) -> None:
    place = tiny("llama", tmp_path, 0, hidden_size=48, head_dim=4) / "config.json"  # type: ignore[arg-type]
    config = json.loads(place.read_text())
    del config["hidden_size"]
    place.write_text(json.dumps(config))
    assert width(open_source(tmp_path)) == 48


@pytest.mark.parametrize(("hidden", "threads", "chosen"), [(16, (1, 2), 1), (256, (2,), 2)])
def test_where_there_is_nothing_to_choose_nothing_is_measured(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch, hidden: int, threads: Sequence[int], chosen: int
) -> None:
    """A narrow model, or threads that the user has chosen."""
    clock = Clock.by_threads({1: 1.0, 2: 0.1})
    monkeypatch.setattr(tuning, "time", clock)
    found = tuned(hidden, threads)
    assert (found.threads, found.seconds, clock.readings) == (chosen, {}, 0)


@pytest.mark.parametrize(("rounded", "chosen"), [(0.5, "bfloat16"), (0.9, "float32"), (2.0, "float32")])
def test_the_number_type_must_be_worth_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounded: float, chosen: str
) -> None:
    changes: dict[str, Any] = {"hidden_size": 256, "head_dim": 4}
    reference = open_source(tiny("llama", tmp_path, 0, dtype=torch.bfloat16, **changes))
    clock = Clock(lambda reading: 1.0 if reading <= READINGS else rounded)
    monkeypatch.setattr(tuning, "time", clock)
    assert resolve_dtype("auto", reference, "cpu") == chosen
    assert clock.readings == 2 * READINGS
    assert resolve_dtype("float32", reference, "cpu") == "float32"
    assert clock.readings == 2 * READINGS


def test_answers_are_verified_where_something_is_generated_and_the_model_allows_it(tuned: Tuned) -> None:
    assert tuned(16, (1,), generating=True).drafts == "auto"
    assert "are verified" in tuned(16, (1,), generating=True).describe("float32", 1, 1)
    assert tuned(16, (1,)).drafts == "off"
    settings, suite = tuned.made(16, generating=True)
    bloom = tiny("bloom", Path(settings.folders[0][1]).parent / "bloom", 0)
    other = replace(settings, folders=((settings.reference, str(bloom)),))
    found = tune(other, suite, (1,))
    assert found.drafts == "off"
    assert any(PLAINLY in note for note in found.notes)

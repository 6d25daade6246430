"""A worker that differs from a run's first one is refused before its first candidate, with what differs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge.candidate import (
    Verification,
    Worker,
    WorkerSettings,
    companion_digests,
    find_function,
    library_versions,
    load_tokenizer,
    suite_digest,
    verification,
)
from evomerge.candidate.known_answers import ANSWERS, KnownAnswers
from evomerge.candidate.verification import refuse_unlike
from evomerge.checkpoints import FolderStamp, fingerprint_of, open_source
from evomerge.errors import InputError
from evomerge.fitness import FitnessSettings, TaskSuite
from evomerge.recipe import CheckpointRef
from tests.building import perturbed, tiny_llama
from tests.candidate.verified import TOLD, Broken, again, average, changed, known, refusal, rewrite
from tests.run.family import write_task


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, a task of options and one whose answers are generated."""
    folder = tmp_path_factory.mktemp("verified")
    tiny_llama(folder / "base", 0)
    perturbed(folder / "base", folder / "one", 1, 0.1)
    write_task(folder, "first", 10)
    (folder / "told.yaml").write_text(TOLD)
    return folder


@pytest.fixture(scope="module")
def suite(models: Path) -> TaskSuite:
    return TaskSuite.build(
        FitnessSettings(("first", "told"), (str(models),), max_length=64), load_tokenizer(models / "base")
    )


@pytest.fixture
def settings(models: Path, suite: TaskSuite, tmp_path: Path) -> WorkerSettings:
    """Settings of workers that are verified, in a run's folder of its own."""
    sources = {name: open_source(models / name) for name in ("base", "one")}
    refs = {name: CheckpointRef(str(models / name), fingerprint=fingerprint_of(sources[name])) for name in sources}
    wanted = Verification(
        str(tmp_path),
        (("uniform", average(tuple(refs.values()))), ("base", average((refs["base"],)))),
        versions=library_versions(),
        files=companion_digests(sources["base"]),
        stamps=tuple((str(models / name), FolderStamp.of(models / name)) for name in sources),
    )
    folders = tuple((ref, ref.source) for ref in refs.values())
    return WorkerSettings(refs["base"], folders, suite.settings, suite_digest(suite), verification=wanted)


@pytest.fixture
def wanted(settings: WorkerSettings) -> Verification:
    assert settings.verification is not None
    return settings.verification


@pytest.fixture(scope="module")
def worker(models: Path, suite: TaskSuite) -> Worker:
    """A worker that nobody has verified."""
    refs = tuple(CheckpointRef(str(models / name)) for name in ("base", "one"))
    folders = tuple((ref, ref.source) for ref in refs)
    return Worker(WorkerSettings(refs[0], folders, suite.settings, suite_digest(suite)), suite)


def test_the_first_worker_leaves_answers_to_items_of_every_task_that_others_repeat(
    settings: WorkerSettings, wanted: Verification, suite: TaskSuite, tmp_path: Path
) -> None:
    first = Worker(settings, suite)
    written = (tmp_path / ANSWERS).read_bytes()
    found = known(tmp_path)
    assert found["recipe"] == wanted.recipes[0][1].digest, "the average, so that merging is exercised"
    assert found["weights"] == first.live.checksum()
    assert [response["task"] for response in found["responses"]] == ["first", "first", "told", "told"]
    assert all(response.get("texts") for response in found["responses"][2:])
    (tmp_path / ANSWERS).unlink()
    Worker(settings, suite)
    assert (tmp_path / ANSWERS).read_bytes() == written, "whoever is first"
    Worker(settings, suite)
    assert (tmp_path / ANSWERS).read_bytes() == written
    assert [path.name for path in tmp_path.iterdir()] == [ANSWERS]
    (problem,) = refusal(replace(settings, dtype="float16"), suite)
    assert "number type float16 instead of float32" in problem
    assert "after other merged weights, differ in" in problem


def test_other_answers_after_equal_weights_are_refused_with_their_size_unless_tolerated(
    wanted: Verification, worker: Worker, tmp_path: Path
) -> None:
    """As a processor gives them that adds up in another order."""
    again(wanted, worker)
    was = known(tmp_path)["responses"][0]["logprobs"][1]

    def slightly(found: dict[str, Any]) -> None:
        found["responses"][0]["logprobs"][1] = was * (1 + 3e-4)
        found["circumstances"]["device"]["instructions"] = "OTHER"

    response = rewrite(tmp_path, slightly)["responses"][0]
    with pytest.raises(InputError) as refused:
        again(wanted, worker)
    (problem,) = refused.value.problems
    assert (
        "after equal merged weights, differ in 1 of 4 items, log-likelihoods by up to 0.0003 of their size" in problem
    )
    assert f"(item {response['item']} of first: {was!r} instead of {response['logprobs'][1]!r})" in problem
    assert "instead of OTHER" in problem
    assert "set model.tolerance=6e-04" in problem
    again(wanted, worker, tolerance=6e-4)
    again(wanted, worker, tolerance=6e-4, exact_alike=True)
    with pytest.raises(InputError):
        again(wanted, worker, tolerance=1e-4)


def test_between_equal_machines_a_default_tolerance_counts_for_nothing(
    wanted: Verification, worker: Worker, tmp_path: Path
) -> None:
    again(wanted, worker)
    rewrite(tmp_path, lambda found: found.update(weights="0" * 16))
    again(wanted, worker, tolerance=0.01)
    with pytest.raises(InputError, match="after other merged weights"):
        again(wanted, worker, tolerance=0.01, exact_alike=True)
    rewrite(tmp_path, lambda found: found["circumstances"]["device"].pop("model"))
    again(wanted, worker, tolerance=0.01, exact_alike=True)


def test_other_weights_in_memory_are_refused(wanted: Verification, worker: Worker, tmp_path: Path) -> None:
    """Answers that are equal by chance do not hide them."""
    again(wanted, worker)
    rewrite(tmp_path, lambda found: found.update(weights="0" * 16))
    with pytest.raises(InputError, match="its answers as 'uniform', after other merged weights, are equal"):
        again(wanted, worker)
    again(wanted, worker, tolerance=1e-6)


def test_another_generated_answer_is_refused(wanted: Verification, worker: Worker, tmp_path: Path) -> None:
    again(wanted, worker)

    def otherwise(found: dict[str, Any]) -> None:
        for response in found["responses"][2:]:
            response["texts"] = ["another"]

    rewrite(tmp_path, otherwise)
    with pytest.raises(InputError) as refused:
        again(wanted, worker, tolerance=0.1)
    (problem,) = refused.value.problems
    assert "2 of 2 generated answers" in problem
    assert "instead of ['another']" in problem
    assert "more than another order of sums explains" in problem


def test_a_worker_that_answers_with_nan_is_refused_and_leaves_no_answers(
    settings: WorkerSettings, suite: TaskSuite, tmp_path: Path
) -> None:
    Broken(settings, suite)
    assert not list(tmp_path.iterdir()), "no known candidate has a score: the search tells"
    Worker(settings, suite)
    with pytest.raises(InputError, match=r"cannot score the known candidate 'uniform'.*nonfinite.*leave this machine"):
        Broken(settings, suite)


def test_libraries_files_and_weights_that_are_not_the_manifests_are_told_at_once(
    settings: WorkerSettings, models: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    for name in ("base", "one"):
        shutil.copytree(models / name, copies / name)
    perturbed(models / "base", copies / "one", 2, 0.1)
    (copies / "base" / "config.json").write_text((copies / "base" / "config.json").read_text() + "\n")
    moved = replace(settings, folders=tuple((ref, str(copies / Path(ref.source).name)) for ref, _ in settings.folders))
    versions = {**library_versions(), "torch": "0.1", "pymoo": "0.2"}
    libraries, files, weights = refusal(changed(moved, versions=versions))
    assert f"torch {library_versions()['torch']} instead of 0.1, pymoo" in libraries
    assert libraries.endswith("or choose another run_dir")
    assert files.startswith("config.json in")
    assert f"{copies / 'one'}" in weights
    assert "are not those that the run began with" in weights


def test_bytes_are_read_again_only_where_a_stamp_does_not_vouch_for_them(
    settings: WorkerSettings, wanted: Verification, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def fingerprint(source: Any) -> str:
        read.append(source.path)
        return fingerprint_of(source)

    monkeypatch.setattr(verification, "fingerprint_of", fingerprint)
    checkpoints = settings.open()
    refuse_unlike(wanted, checkpoints)
    assert not read
    elsewhere = tuple((folder, replace(stamp, machine="another")) for folder, stamp in wanted.stamps)
    refuse_unlike(replace(wanted, stamps=elsewhere), checkpoints)
    assert read == [models / "base", models / "one"]
    read.clear()
    (models / "one" / "model.safetensors").touch()
    refuse_unlike(wanted, checkpoints)
    assert read == [models / "one"], "somebody wrote, and the bytes are the same"


def test_functions_alone_are_verified_by_the_merged_weights(settings: WorkerSettings, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def size(model, tokenizer):\n    raise AssertionError('it may take an hour')\n")
    function = find_function(f"{tmp_path / 'own.py'}:size")
    fitness = replace(settings.fitness, tasks=())
    digest = suite_digest(TaskSuite.of_no_tasks(fitness))
    alone = replace(settings, fitness=fitness, items=digest, functions=(function,))
    worker = Worker(alone)
    assert known(tmp_path)["responses"] == []
    assert known(tmp_path)["weights"] == worker.live.checksum()
    (problem,) = refusal(replace(alone, dtype="bfloat16"))
    assert "after other merged weights, are equal" in problem


OTHER_RUN = '{"recipe": "x", "weights": "y", "responses": [], "circumstances": {}}'


@pytest.mark.parametrize("content", ["", "[]", '{"recipe": "x"}', OTHER_RUN])
def test_a_damaged_file_is_named(wanted: Verification, worker: Worker, tmp_path: Path, content: str) -> None:
    (tmp_path / ANSWERS).write_text(content)
    with pytest.raises(InputError, match=f"{ANSWERS} holds .*remove it"):
        again(wanted, worker)


def test_a_machine_without_the_runs_folder_is_compared_with_what_the_session_found(
    wanted: Verification, worker: Worker, tmp_path: Path
) -> None:
    again(wanted, worker)
    found = KnownAnswers.read(tmp_path / ANSWERS)
    assert found is not None
    nowhere = str(tmp_path / "nowhere")
    again(wanted, worker, folder=nowhere)
    again(wanted, worker, folder=nowhere, known=found)
    with pytest.raises(InputError, match="after other merged weights"):
        again(wanted, worker, folder=nowhere, known=replace(found, weights="0" * 16))
    assert not Path(nowhere).exists()


def test_a_checksum_is_the_sum_of_its_blocks(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = worker.live.checksum()
    monkeypatch.setattr("evomerge.merging.buffers._SUMMED", 7)
    assert worker.live.checksum() == whole

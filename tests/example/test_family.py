"""The embedded example: what is shipped, and that its recipe gives the same bytes twice."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

import evomerge
from experiments.example.example_family.recipe import MEMBERS
from experiments.example.example_family.skills import Lesson, is_reserved, solve
from experiments.example.example_family.tasks import ITEMS_PER_TASK, TASKS, write_tasks
from experiments.example.example_family.training import text_hash

SHIPPED = Path(evomerge.__file__).parent / "example"
BUILD = Path(__file__).parents[2] / "experiments" / "example" / "build.py"
NAMES = [member.name for member in MEMBERS]
SAMPLE = 2000


def read_items(task: str, folder: Path = SHIPPED / "tasks") -> list[dict]:
    return [json.loads(line) for line in (folder / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()]


def item_text(item: dict) -> str:
    answer = item["answer"] if "answer" in item else item["options"][item["gold"]]
    return f"{item['question']} {answer}"


def build(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BUILD), "--out", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def folder_hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_shipped_checkpoint_loads_in_transformers(name: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(SHIPPED / name, local_files_only=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert (SHIPPED / name / "README.md").read_text(encoding="utf-8").startswith("---\nlicense: apache-2.0\n")


@pytest.mark.parametrize("name", NAMES)
def test_shipped_weights_are_those_of_the_training_record(name: str) -> None:
    record = json.loads((SHIPPED / name / "training.json").read_text(encoding="utf-8"))
    found = hashlib.sha256((SHIPPED / name / "model.safetensors").read_bytes()).hexdigest()
    assert record["weights_sha256"] == found
    assert record["shared_with_tasks"] == 0
    lessons = next(member for member in MEMBERS if member.name == name).course.lessons
    assert record["course"]["lessons"] == [vars(lesson) for lesson in lessons]


def test_tokenizer_round_trips_every_item_and_is_shared_by_the_family() -> None:
    tokenizers = [AutoTokenizer.from_pretrained(SHIPPED / name, local_files_only=True) for name in NAMES]
    texts = [item_text(item) for task in TASKS for item in read_items(task.name)[:50]]
    for text in texts:
        ids = [tokenizer(text)["input_ids"] for tokenizer in tokenizers]
        assert ids == [ids[0]] * len(ids)
        assert tokenizers[0].unk_token_id not in ids[0]
        assert tokenizers[0].decode(ids[0]) == text


def test_shipped_tasks_load_in_lm_eval(monkeypatch: pytest.MonkeyPatch) -> None:
    # Plain lm-eval looks for a relative data file from the working folder; evomerge from the folder of the YAML file.
    monkeypatch.chdir(SHIPPED / "tasks")
    names = [task.name for task in TASKS]
    loaded = TaskManager(include_path=str(SHIPPED / "tasks"), include_defaults=False).load(names)["tasks"]
    assert sorted(loaded) == sorted(names)
    for task in TASKS:
        documents = list(loaded[task.name].test_docs())
        assert len(documents) == ITEMS_PER_TASK
        kind = "multiple_choice" if task.multiple_choice else "loglikelihood"
        assert kind == loaded[task.name].OUTPUT_TYPE
        context = loaded[task.name].doc_to_text(documents[0])
        if not task.multiple_choice:
            assert context + loaded[task.name].doc_to_target(documents[0]) == item_text(documents[0])


def test_no_instance_stands_twice_in_or_across_tasks() -> None:
    texts = [item_text(item) for task in TASKS for item in read_items(task.name)]
    assert len(set(texts)) == len(texts) == ITEMS_PER_TASK * len(TASKS)


def test_options_hold_the_right_answer_once() -> None:
    for task in TASKS:
        for item in read_items(task.name) if task.multiple_choice else []:
            command, *letters = item["question"].removesuffix(" =").split()
            word = tuple((ord(letter) - ord("A"), "B") for letter in letters)
            right = " ".join(chr(ord("A") + rank) for rank, _ in solve(command, word))
            assert [option == right for option in item["options"]].count(True) == 1
            assert item["options"][item["gold"]] == right
            assert len(set(item["options"])) == len(item["options"])


def test_training_draws_no_reserved_word_and_no_item() -> None:
    items = {hashlib.sha256(item_text(item).encode()).hexdigest() for task in TASKS for item in read_items(task.name)}
    generator = np.random.Generator(np.random.PCG64(7))
    lessons = [lesson for member in MEMBERS for lesson in member.course.lessons]
    lessons += [Lesson(skill, task.language) for task in TASKS for skill in task.skills]
    for lesson in (lessons[index] for index in generator.integers(len(lessons), size=SAMPLE)):
        instance = lesson.draw(generator)
        assert not is_reserved(tuple(rank for rank, _ in instance.word))
        assert text_hash(instance) not in items


def test_shipped_tasks_are_what_the_generator_writes(tmp_path: Path) -> None:
    write_tasks(tmp_path)
    assert folder_hashes(tmp_path) == folder_hashes(SHIPPED / "tasks")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family that was hardly trained, to be read only."""
    folder = tmp_path_factory.mktemp("built") / "family"
    done = build(folder, "--seed", "3", "--step-scale", "0.002")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_build_repeats_bit_for_bit_and_resumes(built: Path, tmp_path: Path) -> None:
    hashes = folder_hashes(built)
    assert len({hashes[f"{name}/model.safetensors"] for name in NAMES}) == len(NAMES)

    again = tmp_path / "again"
    done = build(again, "--seed", "3", "--step-scale", "0.002")
    assert done.returncode == 0, done.stderr
    assert folder_hashes(again) == hashes

    shutil.rmtree(again / NAMES[-1])
    resumed = build(again, "--seed", "3", "--step-scale", "0.002")
    assert f"trained {NAMES[-1]}\n" in resumed.stdout
    assert folder_hashes(again) == hashes


@pytest.mark.slow
def test_a_folder_of_another_seed_is_refused_and_left_alone(built: Path) -> None:
    before = folder_hashes(built)
    refused = build(built, "--seed", "4", "--step-scale", "0.002")
    assert refused.returncode == 1
    assert "was trained otherwise" in refused.stderr
    assert folder_hashes(built) == before

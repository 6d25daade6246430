"""The lm-eval tasks of the example: one YAML and one JSONL file each, the same for every family."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from .skills import WORD_LENGTH, Instance, Word, draw_word, solve, write
from .training import child_seed, text_hash

ITEMS_PER_TASK = 1200
ITEMS_SEED = 20_000
OPTIONS = 4


@dataclass(frozen=True)
class Task:
    """What one task asks.

    Attributes:
        name: of the task and of its two files.
        skills: asked in turn, each one of `SKILLS`.
        language: of the questions.
        title: one sentence for the reader of the YAML file.
        multiple_choice: four options to choose from, instead of an answer to be written letter by letter.
        items: how many are drawn.
    """

    name: str
    skills: tuple[str, ...]
    language: str
    title: str
    multiple_choice: bool = False
    items: int = ITEMS_PER_TASK


TASKS = (
    Task(
        "exam_a",
        ("reverse", "sort"),
        "A",
        "Reverse or sort a word of language A: each expert was drilled in one of the two.",
    ),
    Task(
        "exam_b",
        ("reverse", "sort"),
        "B",
        "Reverse or sort a word of language B: each expert was drilled in one of the two.",
    ),
    Task("copy_b", ("copy",), "B", "Copy a word of language B: what the base knows and experts may forget."),
    Task("translate_b", ("translate",), "B", "Write a word of language B in language A: base knowledge as well."),
    Task("order_b", ("sort",), "B", "Choose the sorted form of a word of language B among four.", multiple_choice=True),
)


def write_tasks(
    folder: Path, tasks: tuple[Task, ...] = TASKS, seed: int = ITEMS_SEED, elsewhere: frozenset[str] = frozenset()
) -> set[str]:
    """Writes tasks into `folder` and returns the SHA-256 of every instance's text.

    Two tasks that ask the same skill share no item either.

    Args:
        folder: of the tasks' files.
        tasks: what is asked.
        seed: of the draw of items.
        elsewhere: SHA-256 of texts that are no items here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = set(elsewhere)
    for task in tasks:
        lines = [json.dumps(document) for document in _documents(task, seed, taken)]
        (folder / f"{task.name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / f"{task.name}.yaml").write_text(_yaml(task), encoding="utf-8")
    return taken - elsewhere


def _documents(task: Task, seed: int, taken: set[str]) -> list[dict[str, object]]:
    generator = np.random.Generator(np.random.PCG64(child_seed(seed, "items", task.name)))
    documents: list[dict[str, object]] = []
    while len(documents) < task.items:
        skill = task.skills[len(documents) % len(task.skills)]
        instance = Instance(skill, draw_word(generator, task.language, WORD_LENGTH, reserved=True))
        if text_hash(instance) in taken:
            continue
        document: dict[str, object] = {"question": instance.question, "answer": instance.answer}
        if task.multiple_choice:
            options = _options(instance, generator)
            if len(set(options)) < OPTIONS:
                continue
            document = {"question": instance.question, "options": options, "gold": options.index(instance.answer)}
        taken.add(text_hash(instance))
        documents.append(document)
    return documents


def _options(instance: Instance, generator: np.random.Generator) -> list[str]:
    """Returns the answer and three near misses, shuffled; a near miss has two letters of the answer exchanged."""
    answer = solve(instance.skill, instance.word)
    options = [write(answer)]
    for _ in range(OPTIONS - 1):
        first, second = sorted(generator.choice(len(answer), size=2, replace=False).tolist())
        options.append(write(_exchange(answer, first, second)))
    return [options[index] for index in generator.permutation(OPTIONS).tolist()]


def _exchange(word: Word, first: int, second: int) -> Word:
    letters = list(word)
    letters[first], letters[second] = letters[second], letters[first]
    return tuple(letters)


def _yaml(task: Task) -> str:
    """Returns the text of a task's YAML file; its data file stands beside it."""
    settings: dict[str, object] = {
        "task": task.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{task.name}.jsonl"}},
        "test_split": "test",
        "doc_to_text": "{{question}}",
    }
    if task.multiple_choice:
        settings |= {"output_type": "multiple_choice", "doc_to_choice": "{{options}}", "doc_to_target": "{{gold}}"}
        metrics = [("acc", "mean", True), ("acc_norm", "mean", True)]
    else:
        # lm-eval joins question and answer as they are, so the answer brings its own blank.
        settings |= {"output_type": "loglikelihood", "doc_to_target": "{{' ' + answer}}"}
        metrics = [("acc", "mean", True), ("perplexity", "perplexity", False)]
    settings["metric_list"] = [
        {"metric": name, "aggregation": aggregation, "higher_is_better": better}
        for name, aggregation, better in metrics
    ]
    settings["metadata"] = {"version": 1.0}
    return f"# {task.title}\n" + yaml.safe_dump(settings, sort_keys=False)

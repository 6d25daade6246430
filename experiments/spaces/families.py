"""The two families that are searched: the embedded example, and one of six experts that this study trains."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from experiments.example.example_family.family import build_members
from experiments.example.example_family.recipe import Member
from experiments.example.example_family.skills import LANGUAGES, Lesson
from experiments.example.example_family.tasks import Task
from experiments.example.example_family.training import Course

SEED = 0
TASKS = (
    Task("trades_a", ("reverse", "sort", "rotate"), "A", "Reverse, sort or rotate a word of language A."),
    Task("trades_b", ("reverse", "sort", "rotate"), "B", "Reverse, sort or rotate a word of language B."),
)
# The embedded example's base: it half knows how to reverse and how to sort, and has never seen rotating.
_KNOWN = ("copy", "translate", "max", "reverse", "sort")
# One skill in one language each, for unlike times at unlike rates, as is found in the wild: their deltas are of
# different lengths, and each forgets some of the rest.
_COURSES: Mapping[str, tuple[str, str, int, float]] = {
    "sort_a": ("sort", "A", 30, 3e-4),
    "sort_b": ("sort", "B", 50, 5e-4),
    "reverse_a": ("reverse", "A", 40, 4e-4),
    "reverse_b": ("reverse", "B", 30, 3e-4),
    "rotate_a": ("rotate", "A", 60, 6e-4),
    "rotate_b": ("rotate", "B", 60, 4e-4),
}
EXPERTS = tuple(_COURSES)
MEMBERS = (
    Member(
        "base",
        "",
        Course(
            tuple(Lesson(skill, language) for skill in _KNOWN for language in LANGUAGES), 320, batch=64,
            learning_rate=2e-3,
        ),
        "Copies, translates and finds the last letter of a word; half knows how to reverse and to sort; cannot rotate.",
    ),
    *(
        Member(
            name, "base", Course((Lesson(skill, language),), steps, batch=64, learning_rate=rate),
            f"Drilled to {skill} words of language {language}.",
        )
        for name, (skill, language, steps, rate) in _COURSES.items()
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A base, experts and two tasks.

    Attributes:
        name: Of the family.
        experts: Folders or names of the models that are merged.
        base: The base.
        task_path: Folder of the tasks.
        tasks: Two tasks; their accuracies are the objectives.
    """

    name: str
    experts: tuple[str, ...]
    base: str
    task_path: str
    tasks: tuple[str, str]

    def words(self, experts: tuple[str, ...] | None = None) -> list[str]:
        """The words of a search over the family, or over some of its experts."""
        return [
            f"models=[{','.join(experts or self.experts)}]",
            f"base={self.base}",
            f"task_path=[{self.task_path}]",
            f"tasks=[{','.join(self.tasks)}]",
            "method=task_arithmetic",
            "model.dtype=float32",
            "model.threads=1",
            "fitness.prefixes=plain",
        ]


def pair() -> Family:
    """The embedded example: two experts, each drilled in one skill per language."""
    return Family(
        "two experts", ("example:expert_1", "example:expert_2"), "example:base", "example:tasks", ("exam_a", "exam_b")
    )


def six(work: Path) -> Family:
    """Six experts of one skill in one language each; trained where they are missing, which takes three minutes."""
    folder = (work / "six").absolute()
    torch.set_num_threads(1)  # sums of a step have one order, so the weights do not depend on the number of cores
    transformers.utils.logging.disable_progress_bar()
    build_members(folder, SEED, MEMBERS, TASKS, _tell)
    experts = tuple(str(folder / name) for name in EXPERTS)
    return Family("six experts", experts, str(folder / "base"), str(folder / "tasks"), (TASKS[0].name, TASKS[1].name))


def _tell(member: str, step: int, steps: int, loss: float, seconds: float) -> None:
    if step % 60 == 0 or step == steps:
        print(f"{member}: step {step}/{steps}, loss {loss:.3f}, {seconds:.0f} s", file=sys.stderr, flush=True)

"""The families of SmolLM2-135M that are merged: who is a specialist in what, and the words of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TASK_PATH = "experiments/smollm2/tasks"


@dataclass(frozen=True)
class Family:
    """Experts fine-tuned from one base, and two tasks that two of them are specialists in.

    Attributes:
        name: Of the family.
        about: What the experts have learnt, for people.
        skills: All experts, by the skill that each was fine-tuned on; the specialists come first.
        tasks: The two tasks; their accuracies are the objectives.
        models: Folder of the models.
        task_path: Folder of the tasks.
    """

    name: str
    about: str
    skills: tuple[str, ...]
    tasks: tuple[str, str]
    models: Path
    task_path: str = TASK_PATH

    @property
    def missing(self) -> list[str]:
        """Folders that are not there."""
        return [name for name in ("base", *map(expert, self.skills)) if not (self.models / name).is_dir()]

    def words(self, experts: tuple[str, ...] | None = None) -> list[str]:
        """The words of a search over the family."""
        chosen = experts or tuple(str(self.models / expert(skill)) for skill in self.skills)
        return [
            f"models=[{','.join(chosen)}]",
            f"base={self.models / 'base'}",
            "method=task_arithmetic",
            f"tasks=[{','.join(self.tasks)}]",
            f"task_path=[{self.task_path}]",
            f"objectives=[{','.join(f'{task}.acc' for task in self.tasks)}]",
            "genome.frozen=[embedding,norm]",  # fine-tuning changed the linear layers alone
            "model.dtype=bfloat16",
            "model.threads=1",
        ]


def expert(skill: str) -> str:
    """The folder's name of the expert of a skill."""
    return f"expert_{skill}"


def families(models: Path) -> Mapping[str, Family]:
    """The families by name.

    Args:
        models: Folder of base and experts, as ``experiments/smollm2`` writes them.
    """
    models = models.absolute()
    return {
        "dictionary": Family(
            "dictionary",
            "two experts fine-tuned on public data: kinds of nouns (WordNet) and sounds of words (CMU Pronouncing "
            "Dictionary)",
            ("kinds", "sounds"),
            ("smollm2_kinds", "smollm2_sounds"),
            models,
        ),
        "trio": Family(
            "trio",
            "three experts fine-tuned on generated skills: lists, numbers and Zovian; the objectives are the first two",
            ("lists", "numbers", "zovian"),
            ("smollm2_lists", "smollm2_numbers"),
            models,
        ),
    }

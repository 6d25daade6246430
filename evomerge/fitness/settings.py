"""What a fitness is measured with: tasks, prompts, splits and samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge.errors import InputError, suggest
from evomerge.evaluation import SPLITS
from evomerge.fitness.inference.encoding import field_of

DEFAULT_SPLITS: Mapping[str, float] = {"search": 0.5, "selection": 0.2, "test": 0.3}

# lm-eval's own seed for drawing few-shot examples: prompts stay comparable with its runs, and between ours.
FEWSHOT_SEED = 1234

PREFIXES = ("auto", "shared", "plain")


@dataclass(frozen=True)
class FitnessSettings:
    """Tasks and how their items become prompts, splits and samples.

    Args:
        tasks: What to score on. Each entry is a name (a task, group or tag of lm-eval or of ``task_path``, with ``*``
            as a wildcard), the path of a task's YAML file, or a mapping that declares a task over the user's own JSONL
            file (see ``evomerge.fitness.tasks.jsonl_task``).
        task_path: Folders with lm-eval task files, or such files.
        num_fewshot: Examples in each prompt; ``None`` leaves each task its own number.
        apply_chat_template: Whether prompts pass through the tokenizer's chat template.
        fewshot_as_multiturn: Whether few-shot examples become turns of a conversation (needs the chat template).
        system_instruction: Text put before every prompt, as the system's turn under a chat template.
        gen_kwargs: Overrides of the generation arguments of every generating task, such as ``max_gen_toks``.
        splits: Fraction of the items per split; they sum to one.
        items_per_task: Items sampled per task for search and for selection; ``None`` takes all.
        test_items_per_task: The same for the test split.
        seed: Of the search sample. Neither the splits, the held-out samples nor the prompts depend on it.
        batch_size: Most rows in a forward pass, each of one long or several short sequences, and most prompts that are
            generated together; 0 leaves it to budgets of tokens.
        max_length: Longest sequence in tokens; ``None`` is the model's own limit.
        fewshot_seed: Of the draw of few-shot examples.
        prefixes: ``shared`` computes shared beginnings once, ``plain`` reads every sequence whole, ``auto`` shares
            where the model is seen to answer the same.
    """

    tasks: tuple[str | Mapping[str, Any], ...]
    task_path: tuple[str, ...] = ()
    num_fewshot: int | None = None
    apply_chat_template: bool = False
    fewshot_as_multiturn: bool = False
    system_instruction: str | None = None
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SPLITS))
    items_per_task: int | None = None
    test_items_per_task: int | None = None
    seed: int = 0
    batch_size: int = 0
    max_length: int | None = None
    fewshot_seed: int = FEWSHOT_SEED
    prefixes: str = "auto"

    def problems(self) -> list[str]:
        """Everything wrong with these settings that can be told without opening a task."""
        found: list[str] = []
        if not self.tasks:
            found.append("tasks: at least one task is needed, none came")
        odd = [task for task in self.tasks if not isinstance(task, str | Mapping)]
        found += [f"tasks: expected a name, a file or a mapping, came {task!r}" for task in odd]
        found += [f"task_path: {path!r} does not exist" for path in self.task_path if not _expand(path).exists()]
        if self.prefixes not in PREFIXES:
            known = ", ".join(PREFIXES)
            found.append(f"prefixes: expected one of {known}, came {self.prefixes!r}{suggest(self.prefixes, PREFIXES)}")
        found += self._number_problems() + self._split_problems()
        if self.fewshot_as_multiturn and not self.apply_chat_template:
            found.append("fewshot_as_multiturn: turns need a chat template; set apply_chat_template=true as well")
        return found

    def _number_problems(self) -> list[str]:
        least = {"num_fewshot": 0, "items_per_task": 1, "test_items_per_task": 1, "batch_size": 0, "max_length": 2}
        found = []
        for name, minimum in least.items():
            value = getattr(self, name)
            if value is not None and value < minimum:
                found.append(f"{name}: expected a whole number of at least {minimum}, came {value}")
        return found

    def _split_problems(self) -> list[str]:
        found = [
            f"splits: {name!r} is not a split{suggest(name, SPLITS)}" for name in self.splits if name not in SPLITS
        ]
        values = [float(self.splits.get(name, 0.0)) for name in SPLITS]
        if any(not 0.0 <= value <= 1.0 for value in values) or not math.isclose(sum(values), 1.0, abs_tol=1e-9):
            found.append(f"splits: expected fractions from 0 to 1 that sum to 1, came {dict(self.splits)}")
        elif values[0] == 0.0:
            found.append("splits: the search split needs a fraction above 0")
        return found

    def check(self) -> None:
        """Raises what ``problems`` finds.

        Raises:
            InputError: With all problems.
        """
        if found := self.problems():
            raise InputError(found)

    def limit(self, split: str) -> int | None:
        """How many items of a task a split may hold; ``None`` for all."""
        return self.test_items_per_task if split == "test" else self.items_per_task


def check_models(settings: FitnessSettings, tokenizer: Any, config: Any) -> None:
    """Refuses settings that have problems, or do not go with the models.

    Args:
        settings: What to score on.
        tokenizer: Of the models.
        config: Their configuration, an object or a mapping, or ``None``.

    Raises:
        InputError: With all problems.
    """
    problems = settings.problems()
    if settings.apply_chat_template and not getattr(tokenizer, "chat_template", None):
        problems.append("apply_chat_template: the tokenizer has no chat template")
    if field_of(config, "is_encoder_decoder"):
        problems.append("the model is an encoder-decoder; only causal language models are scored")
    if problems:
        raise InputError(problems)


def _expand(path: str) -> Path:
    return Path(path).expanduser()

"""Settings of the fitness: tasks, prompts, splits and samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evomerge import settings as declarations
from evomerge.errors import InputError, suggest
from evomerge.evaluation import SPLITS
from evomerge.fitness.inference.generation.thinking import AUTO
from evomerge.settings import setting

DEFAULT_SPLITS: Mapping[str, float] = {"search": 0.5, "selection": 0.2, "test": 0.3}

# lm-eval's own seed for drawing few-shot examples: prompts stay comparable with its runs, and between ours.
FEWSHOT_SEED = 1234

# Arguments of a chat template that are ours to give.
CHAT_FLAGS = ("tokenize", "add_generation_prompt", "continue_final_message")

PREFIXES = ("auto", "shared", "plain")
DRAFTS = ("auto", "off")
CODE = ("refuse", "sandbox")


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
        think_end: The end of a model's thinking, up to which generated text is not judged; ``None`` judges all of it,
            ``auto`` takes ``</think>`` where the chat template is applied and speaks of it.
        chat_template_args: Further arguments of the chat template, such as ``enable_thinking``.
        splits: Fraction of the items per split; they sum to one.
        items_per_task: Items sampled per task for search and for selection; ``None`` takes all.
        test_items_per_task: The same for the test split.
        seed: Of the search sample. Neither the splits, the held-out samples nor the prompts depend on it.
        batch_size: Most rows in a forward pass, each of one long or several short sequences, and most prompts that are
            generated together; 0 leaves it to budgets of tokens.
        max_length: Longest sequence in tokens; ``None`` is the model's own limit.
        fewshot_seed: Of the draw of few-shot examples.
        prefixes: ``shared`` runs shared prefixes once, ``plain`` reads every sequence whole, ``auto`` shares
            where the model is seen to answer the same.
        drafts: ``auto`` verifies what earlier candidates wrote before anything is written anew, where the model allows
            it; ``off`` generates as transformers does, as in runs that began before there was a choice.
        split_rule: What an item's split follows: 2, its document alone, whatever task asks it; 1, the task's name too,
            as in runs that began before there was a choice.
        code: What is done about tasks whose answers are programs, which judging runs: ``refuse`` them, or run each
            answer in a ``sandbox``, see :mod:`evomerge.fitness.tasks.code.sandbox`.
    """

    tasks: tuple[str | Mapping[str, Any], ...] = field(
        default=(), metadata=setting("lm-eval tasks or groups, built-in or your own", key="tasks", form="tasks")
    )
    task_path: tuple[str, ...] = field(
        default=(), metadata=setting("folders or files with your own tasks (YAML)", key="task_path", form="paths")
    )
    num_fewshot: int | None = field(
        default=None, metadata=setting("examples before each question; null: the task's own number", low=0)
    )
    apply_chat_template: bool = field(
        default=False, metadata=setting("put questions into the tokenizer's chat template")
    )
    fewshot_as_multiturn: bool = field(default=False, metadata=setting("show the examples as turns of a conversation"))
    system_instruction: str | None = field(default=None, metadata=setting("the system message"))
    gen_kwargs: Mapping[str, Any] = field(
        default_factory=dict, metadata=setting("settings of generation, over the task's own")
    )
    think_end: str | None = field(
        default=AUTO,
        metadata=setting(
            "text that ends thinking, which is not judged; null: none, auto: </think> where the chat template has it"
        ),
    )
    chat_template_args: Mapping[str, Any] = field(
        default_factory=dict, metadata=setting("arguments of the chat template, such as enable_thinking")
    )
    splits: Mapping[str, float] = field(
        default_factory=lambda: dict(DEFAULT_SPLITS),
        metadata=setting("shares of the items for search, selection and test", choices=SPLITS, form="shares"),
    )
    items_per_task: int | None = field(
        default=None,
        metadata=setting(
            "items per task of the search and of the selection split; null: all", key="items_per_task", low=1
        ),
    )
    test_items_per_task: int | None = field(
        default=None,
        metadata=setting("items per task of the test split; null: all", key="test_items_per_task", low=1),
    )
    seed: int = 0
    batch_size: int = field(
        default=0, metadata=setting("most rows per forward pass; 0: chosen from a token budget", low=0)
    )
    max_length: int | None = field(
        default=None, metadata=setting("longest sequence in tokens; null: the model's own", low=2)
    )
    fewshot_seed: int = field(
        default=FEWSHOT_SEED,
        metadata=setting("of the draw of those examples; lm-eval's own is 1234", low=0, high=2**63 - 1),
    )
    prefixes: str = field(
        default="auto",
        metadata=setting("run shared prefixes once; auto: where the model answers the same", choices=PREFIXES),
    )
    drafts: str = field(
        default="auto",
        metadata=setting(
            "verify what earlier candidates wrote to generate faster; auto: where the model allows it", choices=DRAFTS
        ),
    )
    split_rule: int = field(
        default=2,
        metadata=setting(
            "what the split of an item follows; 2: its document alone, 1: its task's name too, as in old runs",
            low=1,
            high=2,
        ),
    )
    code: str = field(
        default="refuse",
        metadata=setting("tasks whose answers are programs: refuse them, or run each in a sandbox", choices=CODE),
    )

    def problems(self) -> list[str]:
        """Everything wrong with these settings that can be told without opening a task."""
        found = self._list_problems()
        if not self.tasks:
            found.append("tasks: at least one task is needed, none came")
        found += declarations.problems(self) + self._split_problems()
        arguments: Any = self.gen_kwargs
        if not isinstance(arguments, Mapping):
            found.append(f"gen_kwargs: expected a mapping, came {arguments!r}")
        if self.think_end is not None and self.think_end.strip().lower() in ("", "off", "none", "false"):
            found.append(f"think_end: expected auto, null (all text is judged) or a text, came {self.think_end!r}")
        if self.chat_template_args and not self.apply_chat_template:
            found.append("chat_template_args: they need a chat template; set apply_chat_template=true as well")
        found += [
            f"chat_template_args: {name} is set by evomerge itself; leave it out"
            for name in CHAT_FLAGS
            if name in self.chat_template_args
        ]
        if self.fewshot_as_multiturn and not self.apply_chat_template:
            found.append("fewshot_as_multiturn: turns need a chat template; set apply_chat_template=true as well")
        return found

    def _list_problems(self) -> list[str]:
        given: dict[str, Any] = {"tasks": self.tasks, "task_path": self.task_path}
        found = [
            f"{key}: expected a list, came the text {value!r}" for key, value in given.items() if isinstance(value, str)
        ]
        if found:
            return found  # letters of a text are no names
        odd = [task for task in self.tasks if not isinstance(task, str | Mapping)]
        found += [f"tasks: expected a name, a file or a mapping, came {task!r}" for task in odd]
        odd = [path for path in self.task_path if not isinstance(path, str | Path)]
        found += [f"task_path: expected a folder or a file, came {path!r}" for path in odd]
        paths = [path for path in self.task_path if isinstance(path, str | Path)]
        return found + [f"task_path: {str(path)!r} does not exist" for path in paths if not _expand(path).exists()]

    def _split_problems(self) -> list[str]:
        given: Any = self.splits
        if not isinstance(given, Mapping):
            return [f"splits: expected a fraction for each of {', '.join(SPLITS)}, came {given!r}"]
        found = [
            f"splits: {name!r} is not a split{suggest(str(name), SPLITS)}" for name in self.splits if name not in SPLITS
        ]
        values = [self.splits.get(name, 0.0) for name in SPLITS]
        if not all(map(_is_fraction, values)) or not math.isclose(sum(values), 1.0, abs_tol=1e-9):
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


def _is_fraction(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0


def _expand(path: str | Path) -> Path:
    return Path(path).expanduser()

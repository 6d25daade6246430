"""Fitness as a function: a model and items in, metrics and responses out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from evomerge.errors import InputError, suggest
from evomerge.evaluation import SPLITS, Response
from evomerge.fitness.inference.answers import join
from evomerge.fitness.inference.batches import TOKEN_BUDGET, Layout, Limits
from evomerge.fitness.inference.encoding import Encoder, field_of, vocabulary_size
from evomerge.fitness.inference.logits import logits_of, selects_by, unasked
from evomerge.fitness.inference.memory import ModelShape, scoring_bytes
from evomerge.fitness.inference.planner import lay_out
from evomerge.fitness.inference.probe import Sharing, choose
from evomerge.fitness.inference.requests import Answer, Request
from evomerge.fitness.inference.scoring import BatchScorer
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.tasks import groups
from evomerge.fitness.tasks.benchmark import Benchmark
from evomerge.fitness.tasks.build import open_tasks
from evomerge.fitness.tasks.documents import doc_hash
from evomerge.fitness.tasks.isolated_rng import foreign_code
from evomerge.fitness.tasks.items import Item
from evomerge.fitness.tokenised import tokenise

ItemLists = Mapping[str, Sequence[str]]
LAYOUTS_KEPT = 16


@dataclass(frozen=True)
class MetricInfo:
    """What is known of a metric before anything is scored."""

    higher_is_better: bool


class TaskSuite:
    """The tasks of a run with their items split, sampled, built and tokenised.

    Use ``TaskSuite.build``.

    Attributes:
        settings: What it was built from.
        items: Split name to task name to item ids, in the order of the task.
        metrics: What is known of each metric, by key.
        content: Hash of each item's prompts and right answer, by item id.
        warnings: What people should know before they trust the scores.
        sharing: Whether shared beginnings are computed once, as far as a model has been asked, see :meth:`adapt`.
    """

    def __init__(
        self,
        settings: FitnessSettings,
        benchmarks: Mapping[str, Benchmark],
        groups: groups.Groups,
        items: Mapping[str, Mapping[str, tuple[str, ...]]],
        encoder: Encoder,
        scorer: BatchScorer,
        shape: ModelShape,
    ) -> None:
        self.settings = settings
        self.sharing: Sharing | None = None
        self._learnt = False
        self.items = items
        self._benchmarks = benchmarks
        self._groups = groups
        self._encoder = encoder
        self._scorer = scorer
        self._shape = shape
        self._split = {item: split for split, tasks in items.items() for ids in tasks.values() for item in ids}
        self._members = {task for name in groups.names for task in groups.leaves(name)}
        self._task = {item: task for tasks in items.values() for task, ids in tasks.items() for item in ids}
        self.content = {item: self._item(item).content for item in self._split}
        tokenised = tokenise(encoder, ((self._task[item], self._item(item)) for item in self._split))
        self._requests = tokenised.requests
        self._layouts: dict[tuple[tuple[str, ...], bool], Layout] = {}
        own = {f"{name}.{key}": MetricInfo(up) for name, task in benchmarks.items() for key, up in task.metrics.items()}
        self.metrics: Mapping[str, MetricInfo] = own | {
            key: MetricInfo(up)
            for key, up in groups.directions({key: info.higher_is_better for key, info in own.items()})
        }
        self.warnings = tuple(warning for task in benchmarks.values() for warning in task.warnings) + tuple(
            f"task {task!r}: {count} items are longer than {encoder.max_length} tokens and lose their beginnings"
            for task, count in tokenised.cut.items()
        )
        self.warnings += tokenised.warnings

    @classmethod
    def build(
        cls,
        settings: FitnessSettings,
        tokenizer: Any,
        *,
        config: Any = None,
        generation: Mapping[str, Any] | None = None,
    ) -> TaskSuite:
        """Loads tasks, splits and samples their items, and tokenises their requests, once for all candidates.

        Args:
            settings: What to score on.
            tokenizer: The ``transformers`` tokenizer of the models that will be scored; it is not changed.
            config: Their configuration: the longest sequence, the vocabulary; without it the tokenizer is asked.
            generation: What their checkpoint sets for generation, by name.

        Raises:
            InputError: With everything that is wrong with the settings or the tasks.
        """
        _check_models(settings, tokenizer, config)
        encoder = Encoder.of_model(tokenizer, config, generation, settings.max_length)
        opened = open_tasks(settings, encoder)
        benchmarks = {
            name: benchmark.keep({item for split in SPLITS for item in opened.items[split][name]})
            for name, benchmark in opened.benchmarks.items()
        }
        vocabulary, logits = vocabulary_size(config, tokenizer), unasked(selects_by(config))  # until a model is asked
        tokens = sys.maxsize if settings.batch_size else TOKEN_BUDGET  # an explicit batch_size overrides the budget
        shape = ModelShape.of(config, vocabulary)
        limits = Limits(vocabulary, tokens, settings.batch_size, attention=shape.attention_tokens, logits=logits)
        scorer = BatchScorer(tokenizer, limits, share=settings.prefixes == "shared")
        return cls(settings, benchmarks, opened.groups, opened.items, encoder, scorer, shape)

    @property
    def judging(self) -> Mapping[str, str]:
        """SHA-256 by task and group name of how answers become scores: metrics, filters, code, generation.

        Scores whose digests differ cannot be compared, though the items be the same. Digests are the same in every
        process and on every machine.
        """
        return {name: task.judging for name, task in self._benchmarks.items()} | self._groups.judging

    @property
    def encode_calls(self) -> int:
        """How often the tokenizer has encoded a text; it does not grow once the suite is built."""
        return self._encoder.calls

    def _item(self, item: str) -> Item:
        return self._benchmarks[self._task[item]].items[item]

    def describe(self, item: str) -> dict[str, Any]:
        """An item as people read it.

        Args:
            item: Its id.

        Returns:
            ``question``, the prompt; ``options``, the answers to choose from; ``gold``, the right answer; ``doc_hash``,
            lm-eval's hash of its document; ``subtask``, its task where that is part of a group; ``cluster``, the items
            that belong together, reserved; ``split_rule``, what its split follows.
        """
        task, found = self._task[item], self._item(item)
        return found.description | {
            "doc_hash": doc_hash(found.doc),
            "subtask": task if task in self._members else None,
            "cluster": None,
            "split_rule": self.settings.split_rule,
        }

    def check_metrics(self, keys: Iterable[str]) -> None:
        """Refuses metric keys that nothing here will compute.

        Raises:
            InputError: With all unknown keys and what was probably meant.
        """
        unknown = [key for key in dict.fromkeys(keys) if key not in self.metrics]
        if unknown:
            known = ", ".join(sorted(self.metrics))
            raise InputError(
                [f"unknown metric {key!r}{suggest(key, self.metrics)}" for key in unknown]
                + [f"the metrics are {known}"]
            )

    def use(self, prefixes: str) -> None:
        """Takes over what was found out about a model elsewhere, in the run's beginning or in another process.

        Args:
            prefixes: As in the settings; ``auto`` leaves it open.
        """
        self.settings = replace(self.settings, prefixes=prefixes)
        if prefixes != "auto":
            self._share(prefixes == "shared")

    def _share(self, share: bool) -> None:
        if share != self._scorer.share:
            self._scorer = self._scorer.with_limits(self._scorer.limits, share=share)

    def adapt(self, model: torch.nn.Module) -> Sharing:
        """Finds out whether shared beginnings may be computed once for a model, and scores that way from now on.

        With ``prefixes`` other than ``auto`` that is settled and nothing is asked.

        Args:
            model: As for :meth:`score`. Its architecture matters; weights that are numbers do not.
        """
        self._learn(model)
        if self.settings.prefixes != "auto":
            return Sharing(self._scorer.share, "")
        if self.sharing is None:
            self.sharing = self.examine(model)
            self._share(self.sharing.share)
        return self.sharing

    def examine(self, model: torch.nn.Module) -> Sharing:
        """Asks a model some requests with shared prefixes run once and again read whole; see ``inference.probe``."""
        self._learn(model)
        return choose(model, self._scorer, self._everything())

    def _learn(self, model: torch.nn.Module) -> None:
        """Finds out how the model's logits can be computed; once, as all candidates are built alike."""
        if self._learnt or not (everything := self._everything()):
            return
        logits = logits_of(model, max((request.tokens for request in everything), key=len))
        if logits is not None:
            self._learnt = True
            limits = replace(self._scorer.limits, logits=logits)
            self._scorer = self._scorer.with_limits(limits, share=self._scorer.share)
            self._layouts.clear()

    def _everything(self) -> list[Request]:
        return [request for item in self._split for part in self._requests[item] for request in part]

    def score(
        self, model: torch.nn.Module, split: str, items: ItemLists | None = None
    ) -> tuple[dict[str, float], list[Response]]:
        """Asks a model items of a split.

        Args:
            model: A causal language model of ``transformers`` with the suite's tokenizer, in evaluation mode.
            split: ``search``, ``selection`` or ``test``.
            items: Ids by task; all of the split by default.

        Returns:
            Metrics by key, and one response per item. A metric that has no finite value is left out.

        Raises:
            NonFiniteScore: If the model answers with a log-likelihood that is not a finite number.
            ValueError: If an item does not belong to the split.
        """
        asked = self._asked(split, items)
        self.adapt(model)
        layout = self._layout(asked)
        answers = iter(self._scorer.answer(model, layout))
        responses: list[Response] = []
        per_task: dict[str, dict[str, list[Answer]]] = {}
        for item in asked:
            parts = self._requests[item]
            given = [join(item, self._task[item], [next(answers) for _ in part]) for part in parts]
            per_task.setdefault(self._task[item], {})[item] = given
        with foreign_code(self.settings.fewshot_seed):
            for task, given_items in per_task.items():
                responses += self._benchmarks[task].judge(given_items)
            return self._aggregate(responses), responses

    def _asked(self, split: str, items: ItemLists | None) -> tuple[str, ...]:
        chosen = self.items[split] if items is None else items
        asked = tuple(item for ids in chosen.values() for item in ids)
        strangers = [item for item in asked if self._split.get(item) != split]
        if strangers:
            raise ValueError(f"{len(strangers)} items do not belong to the {split} split, the first is {strangers[0]}")
        misplaced = [item for task, ids in chosen.items() for item in ids if self._task[item] != task]
        if misplaced or len(set(asked)) < len(asked):
            raise ValueError("items must be named once, under their own task")
        return asked

    def _layout(self, asked: tuple[str, ...], share: bool | None = None) -> Layout:
        share = self._scorer.share if share is None else share
        if (asked, share) not in self._layouts:
            if len(self._layouts) >= LAYOUTS_KEPT:
                del self._layouts[next(iter(self._layouts))]
            requests = [request for item in asked for part in self._requests[item] for request in part]
            self._layouts[asked, share] = lay_out(requests, self._scorer.limits, share=share)
        return self._layouts[asked, share]

    def aggregate(self, responses: Iterable[Response]) -> dict[str, float]:
        """Metrics of responses, by key: of each task, and of each group whose tasks are all there.

        Args:
            responses: As ``score`` gave them, or as a store gave them back.
        """
        with foreign_code(self.settings.fewshot_seed):
            return self._aggregate(responses)

    def _aggregate(self, responses: Iterable[Response]) -> dict[str, float]:
        per_task: dict[str, list[Response]] = {}
        for response in responses:
            per_task.setdefault(response.task, []).append(response)
        totals = {task: self._benchmarks[task].aggregate(answered) for task, answered in per_task.items()}
        metrics = {f"{task}.{key}": value for task, values in totals.items() for key, value in values.items()}
        sizes = {task: len(answered) for task, answered in per_task.items()}
        return metrics | self._groups.aggregate(totals, sizes)

    def layout(self, split: str) -> Layout:
        """The forward passes that score all of a split."""
        return self._layout(self._asked(split, None))

    def predicted_bytes(self, split: str, itemsize: int = 4, *, eager: bool = False) -> int:
        """Peak memory of scoring a split, beside the model's weights.

        Args:
            split: Which.
            itemsize: Bytes of a number of the model's dtype.
            eager: Whether the model's attention writes its weights down.
        """
        asked = self._asked(split, None)
        # Which way requests will go is not known before a model has been asked.
        ways = {self._scorer.share} if self.settings.prefixes != "auto" or self.sharing else {True, False}
        layouts = [self._layout(asked, share) for share in ways]
        return max(scoring_bytes(layout, self._shape, itemsize, eager=eager) for layout in layouts)


def _check_models(settings: FitnessSettings, tokenizer: Any, config: Any) -> None:
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

"""The tasks of a run as one value: items, prompts as tokens, judging of answers, aggregation of judgements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import SPLITS, Response
from evomerge.fitness.inference.encoding import Encoder, field_of, reads_ahead
from evomerge.fitness.inference.generation.thinking import ThinkEnd
from evomerge.fitness.inference.requests import Answer, Prompt, Request
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.splits import digest
from evomerge.fitness.tasks.benchmark import Benchmark
from evomerge.fitness.tasks.build import ItemSplits, open_tasks
from evomerge.fitness.tasks.clusters import cluster_field
from evomerge.fitness.tasks.code.stand_in import permitted
from evomerge.fitness.tasks.documents import doc_hash
from evomerge.fitness.tasks.groups import Groups
from evomerge.fitness.tasks.isolated_rng import isolated_rng
from evomerge.fitness.tokenised import ItemRequests, tokenise

ItemLists = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class MetricInfo:
    """Properties of a metric that are known before anything is scored."""

    higher_is_better: bool


@dataclass(frozen=True, eq=False)
class TaskSuite:
    """The tasks of a run with their items split, sampled, built and tokenised; :meth:`build` makes one.

    Nothing in it depends on a model but for tokenizer and longest sequence, and nothing changes.

    Attributes:
        settings: What it was built from.
        benchmarks: Tasks with the items that are asked, by name.
        groups: Groups of tasks.
        items: Split name to task name to item ids, in the order of the task.
        encoder: Encoded the prompts; None where there are none.
        requests: Token requests by item id.
        warnings: Sentences that people should read before they trust the scores.
    """

    settings: FitnessSettings
    benchmarks: Mapping[str, Benchmark]
    groups: Groups
    items: ItemSplits
    encoder: Encoder | None
    requests: Mapping[str, ItemRequests]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of_no_tasks(cls, settings: FitnessSettings) -> TaskSuite:
        """The suite of a run that asks no items: its models are scored by functions of the user's own, alone."""
        return cls(settings, {}, Groups({}), {split: {} for split in SPLITS}, None, {})

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
            settings: Tasks, prompts, splits and samples.
            tokenizer: The ``transformers`` tokenizer of the models that will be scored; it is not changed.
            config: Their configuration: the longest sequence, the vocabulary; without it the tokenizer is asked.
            generation: Generation settings of their checkpoint, by name.

        Raises:
            InputError: With everything that is wrong with the settings or the tasks.
        """
        _check_models(settings, tokenizer, config)
        given = settings.chat_template_args
        encoder = Encoder.of_model(tokenizer, config, generation, settings.max_length, given)
        opened = open_tasks(settings, encoder)
        asked = {task: [item for split in SPLITS for item in opened.items[split][task]] for task in opened.benchmarks}
        benchmarks = {name: benchmark.keep(set(asked[name])) for name, benchmark in opened.benchmarks.items()}
        order = [item for split in SPLITS for ids in opened.items[split].values() for item in ids]
        task = {item: name for name, ids in asked.items() for item in ids}
        tokenised = tokenise(encoder, ((task[item], benchmarks[task[item]].items[item]) for item in order))
        warnings = [warning for benchmark in benchmarks.values() for warning in benchmark.warnings]
        warnings += [
            f"task {name!r}: {count} items are longer than {encoder.max_length} tokens and lose their beginnings"
            for name, count in tokenised.cut.items()
        ]
        suite = cls(settings, benchmarks, opened.groups, opened.items, encoder, tokenised.requests)
        if settings.code != "refuse" and not any(one.runs_answers for one in benchmarks.values()):
            warnings.append(f"fitness.code={settings.code} has no effect: no task's answers are programs")
        if settings.gen_kwargs and not suite.generates:
            warnings.append("gen_kwargs has no effect: no task generates text")
        if told := reads_ahead(config):
            warnings.append(told)
        return replace(suite, warnings=(*warnings, *tokenised.warnings, *suite._thinking_warnings()))

    @property
    def generates(self) -> bool:
        """Whether any task has models generate text."""
        return any(benchmark.output_type == "generate_until" for benchmark in self.benchmarks.values())

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the models that are scored; None where there are no tasks."""
        return self.encoder and self.encoder.tokenizer

    @cached_property
    def think_end(self) -> ThinkEnd | None:
        """The end of thinking in generated answers; None where nothing is left out of them, or none is generated."""
        if not self._prompts:
            return None
        return ThinkEnd.of(self.tokenizer, self.settings.think_end, chat=self.settings.apply_chat_template)

    @cached_property
    def split(self) -> Mapping[str, str]:
        """Split of each item."""
        return {item: split for split, tasks in self.items.items() for ids in tasks.values() for item in ids}

    @cached_property
    def task(self) -> Mapping[str, str]:
        """Task of each item."""
        return {item: task for tasks in self.items.values() for task, ids in tasks.items() for item in ids}

    @cached_property
    def cluster(self) -> Mapping[str, str]:
        """Cluster of each item that belongs to one, as its task names them."""
        return {item: label for task in self.benchmarks.values() for item, label in task.clusters.items()}

    @cached_property
    def cluster_fields(self) -> Mapping[str, str]:
        """The field by which items belong together, of each task that names one."""
        fields = {name: cluster_field(benchmark.task) for name, benchmark in self.benchmarks.items()}
        return {name: field for name, field in fields.items() if field is not None}

    @cached_property
    def content(self) -> Mapping[str, str]:
        """Hash of each item's prompts and right answer."""
        return {item: self.benchmarks[self.task[item]].items[item].content for item in self.split}

    @cached_property
    def metrics(self) -> Mapping[str, MetricInfo]:
        """Metrics that will be there, by key, those of groups last."""
        directions = self.groups.directions({name: task.metrics for name, task in self.benchmarks.items()})
        return {key: MetricInfo(up) for key, up in directions.items()}

    @cached_property
    def judging(self) -> Mapping[str, str]:
        """SHA-256 by task and group name of how answers become scores: metrics, filters, code, generation.

        Scores whose digests differ cannot be compared, though the items be the same. Digests are the same in every
        process and on every machine.
        """
        end = self.think_end
        found = {name: task.judging for name, task in self.benchmarks.items()}
        if end is not None:
            found |= {name: digest(found[name], end.text) for name in self._prompts}
        return found | self.groups.judging

    @cached_property
    def _prompts(self) -> Mapping[str, Prompt]:
        """The first prompt that a model continues, of each task that has one."""
        found: dict[str, Prompt] = {}
        for item, parts in self.requests.items():
            prompts = (request for part in parts for request in part if isinstance(request, Prompt))
            if self.task[item] not in found and (first := next(prompts, None)) is not None:
                found[self.task[item]] = first
        return found

    def _thinking_warnings(self) -> list[str]:
        """Tasks whose stop texts surely come in the thinking of a model, and end it."""
        if self.think_end is None:
            return []
        blank = {name: [text for text in prompt.stop if not text.strip()] for name, prompt in self._prompts.items()}
        return [
            f"task {name!r}: its stop text {texts[0]!r} ends an answer in the thinking before {self.think_end.text} "
            "too, as in lm-eval; name others with fitness.gen_kwargs={until: [TEXT]}"
            for name, texts in blank.items()
            if texts
        ]

    def describe(self, item: str) -> dict[str, Any]:
        """An item as people read it.

        Args:
            item: Its id.

        Returns:
            ``question``, the prompt; ``options``, the answers to choose from; ``gold``, the right answer; ``doc_hash``,
            lm-eval's hash of its document; ``subtask``, its task where that is part of a group; ``cluster``, which the
            items that belong together share, None where it stands alone; ``split_rule``, what its split follows.
        """
        task = self.task[item]
        found = self.benchmarks[task].items[item]
        return found.description | {
            "doc_hash": doc_hash(found.doc),
            "subtask": task if task in self.groups.members else None,
            "cluster": self.cluster.get(item),
            "split_rule": self.settings.split_rule,
        }

    def asked(self, split: str, items: ItemLists | None = None) -> tuple[str, ...]:
        """Ids of the items that are asked of a split, task by task.

        Args:
            split: ``search``, ``selection`` or ``test``.
            items: Ids by task; all of the split by default.

        Raises:
            ValueError: If an item does not belong to the split, or stands twice or under another task.
        """
        chosen = self.items[split] if items is None else items
        asked = tuple(item for ids in chosen.values() for item in ids)
        strangers = [item for item in asked if self.split.get(item) != split]
        if strangers:
            raise ValueError(f"{len(strangers)} items do not belong to the {split} split, the first is {strangers[0]}")
        misplaced = [item for task, ids in chosen.items() for item in ids if self.task[item] != task]
        if misplaced or len(set(asked)) < len(asked):
            raise ValueError("items must be named once, under their own task")
        return asked

    def requests_of(self, items: Iterable[str]) -> list[Request]:
        """All token requests of some items, in their order."""
        return [request for item in items for part in self.requests[item] for request in part]

    def judge(self, answers: Mapping[str, Sequence[Answer]]) -> list[Response]:
        """Judges a model's answers.

        Args:
            answers: For each item asked, one answer per request of lm-eval's.

        Returns:
            One response per item, task by task.
        """
        by_task: dict[str, dict[str, Sequence[Answer]]] = {}
        for item, given in answers.items():
            by_task.setdefault(self.task[item], {})[item] = given
        with isolated_rng(self.settings.fewshot_seed), permitted(self.settings.code):
            return [one for task, given in by_task.items() for one in self.benchmarks[task].judge(given)]

    def aggregate(self, responses: Iterable[Response]) -> dict[str, float]:
        """Metrics of responses, by key: of each task, and of each group whose tasks are all there.

        Args:
            responses: As a model gave them, or as a store gave them back.

        Returns:
            The metrics; one that has no finite value is left out.
        """
        per_task: dict[str, list[Response]] = {}
        for response in responses:
            per_task.setdefault(response.task, []).append(response)
        with isolated_rng(self.settings.fewshot_seed):
            totals = {task: self.benchmarks[task].aggregate(answered) for task, answered in per_task.items()}
            metrics = {f"{task}.{key}": value for task, values in totals.items() for key, value in values.items()}
            sizes = {task: len(answered) for task, answered in per_task.items()}
            metrics |= self.groups.aggregate(totals, sizes)
        return {key: value for key, value in metrics.items() if math.isfinite(value)}


def _check_models(settings: FitnessSettings, tokenizer: Any, config: Any) -> None:
    """Refuses settings that have problems, or do not go with the models.

    Args:
        settings: Tasks, prompts, splits and samples.
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

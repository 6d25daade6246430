"""One lm-eval task with its items built: judges answers item by item, and aggregates what they are worth.

lm-eval builds the requests, filters the answers, judges each item and aggregates; the model, the tokens and the batches
are ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lm_eval.api.metrics import mean
from lm_eval.api.registry import METRIC_REGISTRY
from lm_eval.api.task import Task

from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.inference.requests import Answer, Generated, Likelihood
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.tasks.checks.documents import judges_itself
from evomerge.fitness.tasks.checks.fields import ANY_ERROR, first_line
from evomerge.fitness.tasks.checks.rehearsal import rehearse, right_answers
from evomerge.fitness.tasks.code.pool import in_order
from evomerge.fitness.tasks.code.recognition import runs_answers
from evomerge.fitness.tasks.code.solutions import solution_forms
from evomerge.fitness.tasks.items import Item, build_items
from evomerge.fitness.tasks.judging import task_digest
from evomerge.fitness.tasks.metrics.lengths import length_metrics, missing
from evomerge.fitness.tasks.metrics.smooth import SMOOTH, ItemScores, smooth_metrics
from evomerge.fitness.tasks.values import plain, total

PLAIN = "none"  # lm-eval's name for the answers as they are


@dataclass
class _Answered:
    """One request's answer on its way through the filters; made anew for every candidate."""

    doc: Any
    resps: list[Any]
    filtered_resps: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A task with its items.

    Attributes:
        name: Of the task.
        task: As lm-eval made it, configured for the run.
        items: Items by id, in the order of the task.
        judging: Digest of how answers are judged.
        metrics: Whether more is better, by metric name.
        warnings: Sentences that people should read before they trust the scores.
        documents: Name of the document behind each item, where splits follow it; see :func:`document_keys`.
        source: Where the documents come from, if the rows behind them could not be found.
        clusters: Cluster of each item that has one, see :mod:`evomerge.fitness.tasks.clusters`.
    """

    name: str
    task: Task
    items: Mapping[str, Item]
    judging: str
    metrics: Mapping[str, bool] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    documents: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    clusters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def build(cls, name: str, task: Task, settings: FitnessSettings, encoder: Encoder | None) -> Benchmark:
        """Builds the items of a configured task.

        Args:
            name: Of the task.
            task: As lm-eval made it; its documents have been checked.
            settings: How prompts are made.
            encoder: Applies the chat template; ``None`` builds plain prompts.

        Raises:
            InputError: If the prompts cannot be built.
        """
        judging = task_digest(task)  # now, as close as can be to when the task's code was read
        try:
            items = build_items(task, name, settings, encoder)
            if not judges_itself(task):
                _remember(task)
        except InputError:
            raise
        except ANY_ERROR as error:  # templates and code of a task can fail in any way
            raise InputError(f"task {name!r}: its prompts could not be built: {first_line(error)}") from error
        return cls(name, task, items, judging)._with_metrics()

    @cached_property
    def runs_answers(self) -> bool:
        """Whether its answers are programs, which judging runs."""
        return runs_answers(self.task)

    @property
    def output_type(self) -> str:
        """Kind of the task in lm-eval's words."""
        return str(self.task.OUTPUT_TYPE)

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of its filters."""
        return tuple(chain.name for chain in self.task._filters)

    def keep(self, items: Collection[str]) -> Benchmark:
        """The task with some of its items."""
        return replace(self, items={item: found for item, found in self.items.items() if item in items})

    def warn(self, warning: str) -> Benchmark:
        """The task with one more warning."""
        return replace(self, warnings=(*self.warnings, warning))

    def rehearse(self) -> tuple[list[str], list[str]]:
        """Problems and warnings of judging made-up answers; see :mod:`evomerge.fitness.tasks.checks.rehearsal`."""
        if not self.runs_answers:
            return rehearse(self.name, self.items, self.judge, self.aggregate)
        return rehearse(self.name, self.items, self.judge, self.aggregate, solution_forms(self.task))

    def _with_metrics(self) -> Benchmark:
        """Finds the metrics that items will have, by judging made-up answers of the first one."""
        item = next(iter(self.items.values()))
        try:
            keys = list(self.judge({item.id: right_answers(item)})[0].metrics)
        except ANY_ERROR:  # code of the task; whether it may fail is found out by the rehearsal
            keys = [self._key(metric, chain) for metric in self.task.higher_is_better() for chain in self.filters]
        # Asked now: where a metric's function gives several values, lm-eval learns their names by judging.
        declared = self.task.higher_is_better()
        directions: dict[str, bool] = {}
        given = {key.split(",")[0] for key in keys}
        warnings = [
            f"task {self.name!r} declares the metric {metric}, which {self.output_type} does not give"
            for metric in declared
            if metric not in given and metric in METRIC_REGISTRY and metric != "bypass" and not judges_itself(self.task)
        ]
        for key in keys:
            metric = key.split(",")[0]
            own = SMOOTH[metric].higher_is_better if metric in SMOOTH else None
            better = declared.get(metric, own)
            if better is None:
                warnings.append(
                    f"metric {self.name}.{key} does not say whether more is better; more is taken as better"
                )
            directions[key] = better is not False
        if "generate_until" in item.kind:
            directions |= dict.fromkeys(missing(keys), False)
        return replace(self, metrics=directions, warnings=(*self.warnings, *warnings))

    def _key(self, metric: str, chain: str) -> str:
        return metric if chain == PLAIN else f"{metric},{chain}"

    def judge(self, answers: Mapping[str, Sequence[Answer]]) -> list[Response]:
        """Judges a candidate's answers, item by item.

        Args:
            answers: One answer per request, for each item asked.

        Returns:
            One response per item, in the given order.
        """
        chosen = [(self.items[item], given) for item, given in answers.items()]
        answered = [
            [_Answered(item.doc, [_raw(*pair)] * item.repeats) for pair in zip(item.kind, given, strict=True)]
            for item, given in chosen
        ]
        for chain in self.task._filters:
            chain.apply([one for group in answered for one in group])
        pairs = [(item, group) for (item, _), group in zip(chosen, answered, strict=True)]
        if self.runs_answers:
            metrics = in_order(lambda pair: self._item_metrics(*pair), pairs)
        else:
            metrics = [self._item_metrics(*pair) for pair in pairs]
        return [self._response(item, given, values) for (item, given), values in zip(chosen, metrics, strict=True)]

    def _item_metrics(self, item: Item, answered: Sequence[_Answered]) -> dict[str, Any]:
        # Code of the task may write into the document, which later candidates are judged with.
        custom = judges_itself(self.task)
        values: dict[str, Any] = {}
        for chain in answered[0].filtered_resps:
            doc = copy.deepcopy(item.doc) if custom else item.doc
            judged = self.task.process_results(doc, [one.filtered_resps[chain] for one in answered])
            values |= {self._key(metric, chain): plain(value) for metric, value in judged.items()}
        return values

    def _response(self, item: Item, answers: Sequence[Answer], metrics: dict[str, Any]) -> Response:
        likelihoods = [answer for answer in answers if isinstance(answer, Likelihood)]
        generated = [answer for answer in answers if isinstance(answer, Generated)]
        extra = self._smooth(item, [answer.logprob for answer in likelihoods]) | length_metrics(generated, metrics)
        return Response(
            task=self.name,
            item=item.id,
            metrics=metrics | {name: value for name, value in extra.items() if name not in metrics},
            logprobs=tuple(answer.logprob for answer in likelihoods),
            greedy=tuple(answer.greedy for answer in likelihoods),
            texts=tuple(answer.text for answer in generated),
            truncated=any(answer.truncated for answer in generated),
            tokens=tuple(len(answer.ids) for answer in generated),
            ids=tuple(tuple(answer.ids) for answer in generated),
        )

    def _smooth(self, item: Item, logprobs: Sequence[float]) -> dict[str, float]:
        if judges_itself(self.task):
            return {}  # only the task knows what its options mean
        if self.output_type == "multiple_choice" and item.gold:
            return smooth_metrics(self.output_type, ItemScores(tuple(logprobs[: len(item.options)]), item.gold))
        if self.output_type == "loglikelihood":
            return smooth_metrics(self.output_type, ItemScores(tuple(logprobs), (0,)))
        return {}

    def aggregate(self, responses: Iterable[Response]) -> dict[str, float]:
        """Metrics over items, by metric name; NaN where an aggregate is not a finite number."""
        values: dict[str, list[Any]] = {}
        for response in responses:
            for key, value in response.metrics.items():
                values.setdefault(key, []).append(tuple(value) if isinstance(value, list) else value)
        functions = self.task.aggregation()
        return {key: total(functions.get(key.split(",")[0]) or mean, column) for key, column in values.items()}


def _remember(task: Task) -> None:
    """Renders each document's templates once; judging would render them again for every candidate."""
    for name in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        if task.get_config(name) is not None:
            setattr(task, name, _Remembered(getattr(task, name)))


class _Remembered:
    """A function of a document that is computed once per document."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, doc: Any, *others: Any) -> Any:
        if others and any(other is not None for other in others):
            return self._function(doc, *others)
        if id(doc) not in self._known:
            # The document is kept as well, so that its identity is never given to another one.
            self._known[id(doc)] = (doc, self._function(doc))
        return self._known[id(doc)][1]


def _raw(kind: str, answer: Answer) -> Any:
    """An answer in the form in which lm-eval's models give it."""
    if isinstance(answer, Generated):
        return answer.text
    return answer.logprob if kind == "loglikelihood_rolling" else (answer.logprob, answer.greedy)

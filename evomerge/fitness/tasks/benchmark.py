"""One lm-eval task: its items and prompts, and what becomes of a model's answers.

lm-eval builds the requests, filters the answers, judges each item and aggregates; the model, the tokens and the batches
are ours. The items of a task are built all together and once, so that a prompt does not depend on which other items are
asked.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lm_eval.api.metrics import mean
from lm_eval.api.task import Task

from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.inference.requests import Answer, Generated, Likelihood
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.splits import item_ids
from evomerge.fitness.tasks import smooth_metrics
from evomerge.fitness.tasks.gold import WrongAnswer, answer_key, refuse
from evomerge.fitness.tasks.items import Item
from evomerge.fitness.tasks.judging import task_digest
from evomerge.fitness.tasks.values import finite, plain

PLAIN = "none"  # lm-eval's name for the answers as they are


@dataclass
class _Answered:
    """What filters read and write; made anew for every candidate, so that no answer outlives it."""

    doc: Any
    resps: list[Any]
    filtered_resps: dict[str, Any] = field(default_factory=dict)


class Benchmark:
    """A task with its items built.

    Args:
        name: Of the task.
        task: As lm-eval loaded it.
        settings: How prompts are made.
        encoder: Applies the chat template; ``None`` builds plain prompts.

    Attributes:
        items: All items by id, in the order of the task.
        warnings: What people should know.
        judging: Digest of how answers are judged.

    Raises:
        InputError: If the prompts cannot be built, or a right answer is none of its item's options.
    """

    def __init__(self, name: str, task: Task, settings: FitnessSettings, encoder: Encoder | None) -> None:
        self.name = name
        self.task = task
        self.warnings: list[str] = []
        self._configure(settings)
        self.judging = task_digest(task)  # now, as close as can be to when the task's code was read
        try:
            self.items = self._build(settings, encoder)
            self._remember()
        except InputError:
            raise
        except Exception as error:  # templates and code of a task can fail in any way
            first = (str(error).strip() or "no message").splitlines()[0]
            raise InputError(
                f"task {name!r}: its prompts could not be built: {type(error).__name__}: {first}"
            ) from error
        self.metrics = self._directions()

    @property
    def output_type(self) -> str:
        """Kind of the task in lm-eval's words."""
        return str(self.task.OUTPUT_TYPE)

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of its filters."""
        return tuple(chain.name for chain in self.task._filters)

    def keep(self, items: Collection[str]) -> None:
        """Forgets all other items, and lm-eval's copies of them."""
        self.items = {item: found for item, found in self.items.items() if item in items}
        self.task._instances = []

    def _configure(self, settings: FitnessSettings) -> None:
        task = self.task
        own = task.get_config("num_fewshot")
        if settings.num_fewshot is not None and own == 0 and settings.num_fewshot > 0:
            self.warnings.append(
                f"task {self.name!r} fixes num_fewshot to 0; num_fewshot={settings.num_fewshot} is not applied"
            )
        elif settings.num_fewshot is not None:
            task.set_config("num_fewshot", settings.num_fewshot)
        elif own is None:
            task.set_config("num_fewshot", 0)
        if settings.gen_kwargs and self.output_type == "generate_until":
            task.set_config("generation_kwargs", dict(settings.gen_kwargs), update=True)
        task.set_fewshot_seed(settings.fewshot_seed)
        self._warn_of_examples()

    def _warn_of_examples(self) -> None:
        shots = getattr(self.task, "fewshot_cfg", None)
        if not self.task.get_config("num_fewshot") or shots is None or (shots.split is None and shots.samples):
            return
        splits = [self.task.get_config(f"{name}_split") for name in ("training", "validation", "test")]
        drawn_from = shots.split or next((split for split in splits if split), None)
        if drawn_from == (splits[2] or splits[1]):
            more = "" if shots.split else "; an item may be shown its own answer: name a fewshot_split"
            self.warnings.append(f"task {self.name!r} draws its examples from the items that it is scored on{more}")

    def _build(self, settings: FitnessSettings, encoder: Encoder | None) -> dict[str, Item]:
        chat = encoder.chat if encoder is not None and settings.apply_chat_template else None
        self.task.build_all_requests(
            system_instruction=settings.system_instruction,
            apply_chat_template=chat is not None,
            fewshot_as_multiturn=settings.fewshot_as_multiturn,
            chat_template=chat,
        )
        by_doc: dict[int, list[Any]] = {}
        for instance in self.task.instances:
            by_doc.setdefault(instance.doc_id, []).append(instance)
        parts = [sorted(instances, key=lambda instance: instance.idx) for instances in by_doc.values()]
        ids = item_ids(self.name, (part[0].doc for part in parts))
        wrong: list[WrongAnswer] = []
        items = {item: self._item(item, part, wrong) for item, part in zip(ids, parts, strict=True)}
        refuse(self.name, wrong, len(items))
        return items

    def _item(self, item: str, instances: Sequence[Any], wrong: list[WrongAnswer]) -> Item:
        doc = instances[0].doc
        key = answer_key(self.task, doc)
        if key.wrong is not None and not callable(self.task.get_config("process_results")):
            wrong.append(key.wrong)
        return Item(
            id=item,
            doc=doc,
            kind=tuple(instance.request_type for instance in instances),
            arguments=tuple(tuple(instance.args) for instance in instances),
            repeats=int(instances[0].repeats or 1),
            options=key.options,
            gold=key.gold,
            target=key.target,
        )

    def _remember(self) -> None:
        """Renders each document's templates once; judging would render them again for every candidate."""
        if callable(self.task.get_config("process_results")):
            return
        for name in ("doc_to_text", "doc_to_target", "doc_to_choice"):
            if self.task.get_config(name) is not None:
                setattr(self.task, name, _Remembered(getattr(self.task, name)))

    def _directions(self) -> dict[str, bool]:
        """Metrics that items will have, and whether more is better; found by judging one item with made-up answers."""
        item = next(iter(self.items.values()))
        answers = [Generated("", False) if kind == "generate_until" else Likelihood(-1.0, False) for kind in item.kind]
        declared = dict(self.task.higher_is_better())
        try:
            keys = list(self.judge({item.id: answers})[0].metrics)
        except Exception:  # the code of a task may not like made-up answers
            keys = [self._key(metric, chain) for metric in declared for chain in self.filters]
        directions = {}
        for key in keys:
            metric = key.split(",")[0]
            better = declared[metric] if metric in declared else smooth_metrics.HIGHER_IS_BETTER.get(metric)
            if better is None:
                self.warnings.append(
                    f"metric {self.name}.{key} does not say whether more is better; more is taken as better"
                )
            directions[key] = better is not False
        return directions

    def _key(self, metric: str, chain: str) -> str:
        return metric if chain == PLAIN else f"{metric},{chain}"

    def judge(self, answers: Mapping[str, Sequence[Answer]]) -> list[Response]:
        """What a candidate's answers are worth, item by item.

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
        metrics = [self._item_metrics(item, group) for (item, _), group in zip(chosen, answered, strict=True)]
        return [self._response(item, given, values) for (item, given), values in zip(chosen, metrics, strict=True)]

    def _item_metrics(self, item: Item, answered: Sequence[_Answered]) -> dict[str, Any]:
        # Custom code may write into the document, which later candidates are judged with.
        custom = callable(self.task.get_config("process_results"))
        values: dict[str, Any] = {}
        for chain in answered[0].filtered_resps:
            doc = copy.deepcopy(item.doc) if custom else item.doc
            judged = self.task.process_results(doc, [one.filtered_resps[chain] for one in answered])
            values |= {self._key(metric, chain): plain(value) for metric, value in judged.items()}
        return values

    def _response(self, item: Item, answers: Sequence[Answer], metrics: dict[str, Any]) -> Response:
        likelihoods = [answer for answer in answers if isinstance(answer, Likelihood)]
        generated = [answer for answer in answers if isinstance(answer, Generated)]
        extra = self._smooth(item, [answer.logprob for answer in likelihoods])
        return Response(
            task=self.name,
            item=item.id,
            metrics=metrics | {name: value for name, value in extra.items() if name not in metrics},
            logprobs=tuple(answer.logprob for answer in likelihoods),
            greedy=tuple(answer.greedy for answer in likelihoods),
            texts=tuple(answer.text for answer in generated),
            truncated=any(answer.truncated for answer in generated),
            tokens=tuple(len(answer.ids) for answer in generated),
        )

    def _smooth(self, item: Item, logprobs: Sequence[float]) -> dict[str, float]:
        if callable(self.task.get_config("process_results")):
            return {}  # only the task knows what its options mean
        if self.output_type == "multiple_choice" and item.gold:
            return smooth_metrics.choice_metrics(logprobs[: len(item.options)], item.gold)
        if self.output_type == "loglikelihood":
            return {"gold_logprob": logprobs[0]}
        return {}

    def aggregate(self, responses: Iterable[Response]) -> dict[str, float]:
        """Metrics over items, by metric name; an aggregate that is not a finite number is left out."""
        values: dict[str, list[Any]] = {}
        for response in responses:
            for key, value in response.metrics.items():
                values.setdefault(key, []).append(tuple(value) if isinstance(value, list) else value)
        functions = self.task.aggregation()
        result = {}
        for key, column in values.items():
            total = finite(functions.get(key.split(",")[0]) or mean, column)
            if total is not None:
                result[key] = total
        return result


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

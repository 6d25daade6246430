"""A task asked of one live model in several ways: stock lm-eval, evomerge with and without drafts, and others.

All ways get the same model object, the same items and the same prompts as text or tokens. What is counted is what a
candidate costs beside its merge; tasks are built beforehand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from evomerge.candidate import Worker
from evomerge.config import compose
from evomerge.evaluation import Drafts, Response
from evomerge.fitness import ModelTraits, Prompt, Scorer
from evomerge.fitness.inference.prefix_tree import build
from evomerge.recipe import Recipe
from evomerge.run.search import prepare
from experiments.counting import counted
from experiments.generation.data import TASKS_FOLDER
from experiments.generation.problems import KINDS

TASKS = ("worked", "short", "short_5shot", "chat")
BATCH_SIZES = (1, 8, 32)


@dataclass(frozen=True)
class Measured:
    """One way of asking all items of a task.

    Attributes:
        seconds: Wall seconds.
        cpu: Processor seconds of this process, which other work on a machine does not add to.
        passes: Forward passes.
        tokens: Tokens that went through the model, padding included.
        texts: The answers, in the order of the items.
    """

    seconds: float
    cpu: float
    passes: int
    tokens: int
    texts: tuple[str, ...]


def words(task: str, models: Path, dtype: str, items: int) -> list[str]:
    """The words of a search over the two experts on one task."""
    experts = ",".join(str((models / f"expert_{skill}").absolute()) for skill in KINDS)
    return [
        f"models=[{experts}]",
        f"base={(models / 'base').absolute()}",
        "method=task_arithmetic",
        "genome=smooth",
        "genome.frozen=[embedding,norm]",  # fine-tuning changed the linear layers alone
        f"tasks=[generation_{task}]",
        f"task_path=[{TASKS_FOLDER}]",
        f"fitness.apply_chat_template={task == 'chat'}",
        f"items_per_task={items}",
        f"model.dtype={dtype}",
    ]


class Asked:
    """A task and a live model that candidates are installed into.

    Args:
        task: One of :data:`TASKS`.
        models: Folder of base and experts.
        dtype: What the model computes in.
        items: How many items of the search split.
        work: Folder for what a run keeps.
        further: Further words of the search.

    Attributes:
        spec: The search space.
        baselines: Base, experts and their average, by name.
        starts: Known points of the space.
        items: Ids of the items.
    """

    def __init__(self, task: str, models: Path, dtype: str, items: int, work: Path, *further: str) -> None:
        told = [*words(task, models, dtype, items), "model.threads=1", f"run_dir={work / 'run'}", *further]
        prepared = prepare(compose.search(told), lambda _: None)
        assembly = prepared.assembly
        self.spec, self.baselines, self.starts = assembly.spec, assembly.baselines, assembly.starts
        self._suite = assembly.suite
        self._worker = Worker(prepared.settings, assembly.suite)
        self._off = Scorer(assembly.suite, ModelTraits.probe(self.model, assembly.suite, drafts="off"))
        (self._task,) = assembly.suite.benchmarks
        self.items = tuple(assembly.suite.items["search"][self._task])
        self._asked = {self._task: self.items}
        self._rows: int | None = None
        benchmark = assembly.suite.benchmarks[self._task]
        self._instances = [
            Instance("generate_until", benchmark.items[item].doc, benchmark.items[item].arguments[0], place)
            for place, item in enumerate(self.items)
        ]

    @property
    def model(self) -> Any:
        """The live model."""
        return self._worker.live.model

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self._worker.tokenizer

    @property
    def metric(self) -> str:
        """Name of the task's metric."""
        return next(iter(self._suite.benchmarks[self._task].metrics))

    def prompts(self, limit: int) -> list[Prompt]:
        """The prompts of the items, answered by at most so many tokens."""
        requests = self._suite.requests_of(self.items)
        return [replace(request, max_new=limit) for request in requests if isinstance(request, Prompt)]

    def install(self, recipe: Recipe) -> None:
        """Makes the model a recipe's candidate."""
        self._worker.live.install(self._worker.merger, recipe)

    def ours(self, drafts: Drafts | None = None, *, off: bool = False) -> tuple[Measured, list[Response]]:
        """What a worker of a search does.

        Args:
            drafts: What earlier candidates answered.
            off: As with ``fitness.drafts=off``, where transformers' own loop generates.
        """
        scorer = self._off if off else self._worker.scorer
        assert scorer is not None
        responses: list[Response] = []

        def work() -> Sequence[str]:
            responses[:] = scorer.score(self.model, "search", self._asked, drafts)
            return [response.texts[0] for response in responses]

        return self._measured(work), responses

    def stock(self) -> tuple[Measured, int]:
        """lm-eval's own class, with the batch size that was fastest for the first candidate.

        Returns:
            What it took, and the batch size.
        """
        if self._rows is None:
            tried = {rows: self._stock(rows) for rows in BATCH_SIZES}
            self._rows = min(tried, key=lambda rows: tried[rows].cpu)
            return tried[self._rows], self._rows
        return self._stock(self._rows), self._rows

    def _stock(self, rows: int) -> Measured:
        lm = HFLM(pretrained=self.model, tokenizer=self.tokenizer, batch_size=rows)
        return self._measured(lambda: lm.generate_until(self._instances, disable_tqdm=True))

    def continuous(self, lengths: Sequence[int]) -> Measured:
        """Transformers' continuous batching; it knows no stop texts, so it is told the length of each answer.

        Args:
            lengths: Tokens of each answer.
        """
        from transformers.generation.configuration_utils import ContinuousBatchingConfig, GenerationConfig

        prompts = self._prompts()
        page, room = 32, sum(map(len, prompts)) + sum(lengths)
        # Without a number of blocks it takes more than half of the machine's memory.
        paged = ContinuousBatchingConfig(
            page_size=page, num_blocks=room // page + 2 * len(prompts), max_batch_tokens=1024
        )
        end = self.tokenizer.eos_token_id
        settings = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=end, max_new_tokens=max(lengths))

        def work() -> Sequence[str]:
            with self.model.continuous_batching_context_manager(
                generation_config=settings, continuous_batching_config=paged
            ) as server:
                names = [
                    server.add_request(prompt.tolist(), max_new_tokens=length)
                    for prompt, length in zip(prompts, lengths, strict=True)
                ]
                done: dict[str, list[int]] = {}
                while len(done) < len(names) and server.is_running():
                    result = server.get_result(timeout=1)
                    if result is not None and result.is_finished():
                        done[result.request_id] = result.generated_tokens
            return [self._cut(done[name]) for name in names]

        return self._measured(work)

    def _cut(self, tokens: Sequence[int]) -> str:
        text = str(self.tokenizer.decode(tokens, skip_special_tokens=True))
        for stop in self._instances[0].args[1]["until"]:
            text = text.split(stop)[0]
        return text

    def _prompts(self) -> list[np.ndarray]:
        return [request.tokens for request in self._suite.requests_of(self.items)]

    def least(self, lengths: Sequence[int]) -> tuple[int, int]:
        """Fewest tokens that prompts and answers are.

        Args:
            lengths: Tokens of each answer, the last of which no model has to read.

        Returns:
            With whatever several prompts begin with once, and with every prompt whole.
        """
        sequences = [
            np.frombuffer(prompt, np.int32) for prompt in sorted({prompt.tobytes() for prompt in self._prompts()})
        ]
        root, _ = build(sequences, [1] * len(sequences), sys.maxsize, sys.maxsize)
        answers = sum(max(0, length - 1) for length in lengths)
        return root.total + answers, sum(map(len, self._prompts())) + answers

    def _measured(self, work: Callable[[], Sequence[str]]) -> Measured:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        with counted(self.model) as count:
            wall, cpu = time.perf_counter(), time.process_time()
            texts = work()
            spent = time.perf_counter() - wall, time.process_time() - cpu
        return Measured(*spent, count.passes, count.tokens, tuple(texts))

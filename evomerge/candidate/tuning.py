"""Chooses how models run on this machine: dtype, threads, what is run once, and whether drafts are verified.

Each choice changes the last digits of scores, so short measurements make it once, at the start of a run, and it then
belongs to the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from evomerge.candidate.threads import WORTHWHILE, describe_threads, time_threads, worthwhile_threads
from evomerge.candidate.worker import WorkerSettings, live_model
from evomerge.checkpoints import CheckpointSource, open_source, stored_dtype
from evomerge.fitness import WHOLE, FitnessSettings, ModelTraits, Scorer, Sharing, TaskSuite, takes

_REPEATS = 3
_LONG = 2.0  # seconds; one run as long as this is measurement enough
# Narrower models spend their time between the matrix products; measurements on them are noise.
_NARROW = 256
# Rows and widths of the matrix product that shows which dtype a CPU is fast at.
_PRODUCT = (512, 512, 2048)
_TIMED_TOKENS = 512


@dataclass(frozen=True)
class Tuning:
    """The choices, and the measurements behind them.

    Attributes:
        threads: Threads of a worker.
        prefixes: ``shared`` or ``plain``, see :class:`evomerge.fitness.FitnessSettings`.
        drafts: ``auto`` where answers of earlier candidates are verified, else ``off``; None leaves it as it is.
        notes: Sentences that people should read.
        seconds: Wall seconds of the timed pass by number of threads, of those that were timed.
    """

    threads: int
    prefixes: str
    drafts: str | None = None
    notes: tuple[str, ...] = ()
    seconds: Mapping[int, float] = field(default_factory=dict)

    def describe(self, dtype: str, cores: int, workers: int) -> str:
        """One sentence for people.

        Args:
            dtype: Number type that models compute in.
            cores: Cores that all workers share.
            workers: Number of workers.
        """
        threads, hint = describe_threads(self.threads, self.seconds, cores, workers)
        reading = "shared prefixes are run once" if self.prefixes == "shared" else WHOLE
        text = f"models run in {dtype} with {threads} per worker; {reading}"
        if self.drafts == "auto":
            text += "; answers that earlier candidates wrote are verified"
        return f"{text}; {hint}" if hint else text


def resolve_dtype(dtype: str, reference: CheckpointSource, device: str) -> str:
    """Resolves ``auto``; any other dtype stays as it is.

    Weights stored in half precision are computed in it on a GPU. So are wide models stored in bfloat16 on a CPU whose
    matrix products are faster that way, which is measured. Everything else is computed in float32.

    Args:
        dtype: The user's setting.
        reference: The reference checkpoint.
        device: Where candidates live.
    """
    if dtype != "auto":
        return dtype
    stored = str(stored_dtype(reference)).removeprefix("torch.")
    if torch.device(device).type == "cuda":
        return stored if stored in ("bfloat16", "float16") else "float32"
    if stored != "bfloat16" or width(reference) < _NARROW:
        return "float32"
    exact, rounded = (_product_seconds(kind) for kind in (torch.float32, torch.bfloat16))
    return "bfloat16" if rounded * WORTHWHILE < exact else "float32"


def tune(settings: WorkerSettings, suite: TaskSuite, threads: Sequence[int]) -> Tuning:
    """Loads the reference model and measures how to run it.

    Args:
        settings: The settings of workers, apart from what is chosen here.
        suite: The tasks.
        threads: Numbers of threads to choose from, the fewest first; one is taken as it is.

    Returns:
        The choice.
    """
    reference = open_source(dict(settings.folders)[settings.reference])
    torch.set_num_threads(threads[-1])
    model = live_model(settings, settings.open()).model
    traits, notes = _traits(suite, model, settings.fitness)
    prefixes = "shared" if traits.sharing is not None and traits.sharing.share else "plain"
    drafts = "auto" if traits.drafting is not None and traits.drafting.drafts else "off"
    if len(threads) == 1 or torch.device(settings.device).type != "cpu":
        return Tuning(threads[-1], prefixes, drafts, notes)
    timed = _timed_pass(Scorer(suite, traits)) if width(reference) >= _NARROW else None
    if timed is None:
        return Tuning(threads[0], prefixes, drafts, notes)
    seconds = time_threads(threads, lambda count: _pass_seconds(model, timed, count))
    return Tuning(worthwhile_threads(seconds), prefixes, drafts, notes, seconds)


def _traits(suite: TaskSuite, model: Any, fitness: FitnessSettings) -> tuple[ModelTraits, tuple[str, ...]]:
    """The traits of a model, and sentences about them; who insists on sharing is told what it changes."""
    found = ModelTraits.probe(model, suite, "plain" if fitness.prefixes == "plain" else "auto", fitness.drafts)
    reason = found.sharing.reason if found.sharing is not None else ""
    plainly = found.drafting.reason if found.drafting is not None else ""
    if fitness.prefixes == "shared":
        found = replace(found, sharing=Sharing(True, ""))
        reason = f"fitness.prefixes=shared against advice: {reason}" if reason else ""
    return found, tuple(note for note in (reason, plainly) if note)


def width(reference: CheckpointSource) -> int:
    """Width of a model's residual stream; where its configuration does not say, of the widest matrix."""
    inner = reference.config.get("text_config") or reference.config
    named = next((inner[name] for name in ("hidden_size", "n_embd", "d_model") if inner.get(name)), None)
    matrices = (spec.shape for spec in reference.specs.values() if len(spec.shape) > 1)
    return max((min(shape) for shape in matrices), default=0) if named is None else int(named)


def _timed_pass(scorer: Scorer) -> torch.Tensor | None:
    """Tokens of the largest pass of the search split, or of its longest prompt, cut to a short measurement."""
    plan = scorer.plan("search")
    passes = [batch.tokens for batch in plan.likelihoods]
    prompts = (torch.from_numpy(prompt.tokens)[None].long() for batch in plan.prompts for prompt in batch.prompts)
    passes = passes or list(prompts)
    if not passes:
        return None
    largest = max(passes, key=lambda tokens: tokens.numel())[:, :_TIMED_TOKENS]
    return largest[: max(1, _TIMED_TOKENS // largest.shape[1])]


@torch.inference_mode()
def _pass_seconds(model: Any, tokens: torch.Tensor, threads: int) -> float:
    torch.set_num_threads(threads)
    given = tokens.to(next(model.parameters()).device)
    last = {"logits_to_keep": 1} if takes(model, "logits_to_keep") else {}
    return _fastest(lambda: model(input_ids=given, use_cache=False, **last))


def _product_seconds(dtype: torch.dtype) -> float:
    count, inner, outer = _PRODUCT
    rows, weights = torch.ones(count, inner, dtype=dtype), torch.ones(outer, inner, dtype=dtype)
    return _fastest(lambda: torch.nn.functional.linear(rows, weights))


def _fastest(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few repetitions after one that does not count; of that one where it takes long."""
    first = _seconds(work)
    return first if first > _LONG else min(_seconds(work) for _ in range(_REPEATS))


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def with_tuning(settings: WorkerSettings, tuning: Tuning) -> WorkerSettings:
    """Settings that say how models are run."""
    drafts = settings.fitness.drafts if tuning.drafts is None else tuning.drafts
    fitness = replace(settings.fitness, prefixes=tuning.prefixes, drafts=drafts)
    return replace(settings, threads=tuning.threads, fitness=fitness)

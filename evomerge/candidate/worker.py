"""One worker: a live model that candidates are installed into and asked."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from evomerge.candidate.collected import CollectedStatistics
from evomerge.candidate.devices import computes, device_details, place_of
from evomerge.candidate.functions import NonFiniteMetric, UserFunction, call_function
from evomerge.candidate.loading import build_suite, first_line, load_tokenizer, model_files
from evomerge.candidate.quantised import quantise
from evomerge.candidate.settings import UNQUANTISED
from evomerge.candidate.verification import Examined, Verification, refuse_unlike, verify
from evomerge.checkpoints import open_all
from evomerge.errors import InputError
from evomerge.evaluation import PYTHON, SPLITS, Failure, Job, Outcome, Response, Unusable
from evomerge.fitness import FitnessSettings, ModelTraits, NonFiniteScore, Scorer, TaskSuite
from evomerge.merging import Checkpoints, LiveModel, Merger, NonFinite, PreparedSettings, WeightCache
from evomerge.recipe import ModelRef, Recipe


@dataclass(frozen=True)
class WorkerSettings:
    """Everything a worker needs, small enough to be sent to another process.

    Attributes:
        reference: Whose config and tokenizer candidates get.
        folders: Where each checkpoint or adapter that recipes may name lies on this machine.
        fitness: What candidates are asked.
        items: Digest of the items as the run has them, see :func:`suite_digest`: a worker that builds others, from a
            file changed meanwhile, must not score.
        dtype: What the model computes in.
        attention: transformers' name of the attention implementation; ``auto`` is what transformers chooses.
        quantise: The weight-only quantisation whose rounding of weights candidates are scored with.
        device: Where the model lives; the first of several devices.
        device_map: The user's setting of several devices, which a worker settles for itself.
        max_memory: The user's limits on each of them.
        threads: Threads of a worker; the same however many workers there are, as sums depend on it.
        trust_remote_code: Whether code that comes with a checkpoint may run.
        functions: The user's own metrics.
        prepared: Where workers keep what the method prepares.
        statistics: Collected statistics that the method and steps of candidates read; None where they read none.
        candidate: A candidate, where these have other tokens or templates than the reference; None where they do not.
        verification: What a worker is compared with before its first job; None where it is not.
    """

    reference: ModelRef
    folders: tuple[tuple[ModelRef, str], ...]
    fitness: FitnessSettings
    items: str
    dtype: str = "float32"
    attention: str = "auto"
    quantise: str = UNQUANTISED
    device: str = "cpu"
    device_map: tuple[str, ...] = ()
    max_memory: tuple[str, ...] = ()
    threads: int = 1
    trust_remote_code: bool = False
    functions: tuple[UserFunction, ...] = ()
    prepared: PreparedSettings = field(default_factory=PreparedSettings)
    statistics: CollectedStatistics | None = None
    candidate: Recipe | None = None
    verification: Verification | None = None

    @property
    def has_tasks(self) -> bool:
        """Whether models are asked tasks, which only causal language models are; else they may be of any kind."""
        return bool(self.fitness.tasks)

    def open(self) -> Checkpoints:
        """Opens the checkpoints."""
        folders = dict(self.folders)
        return Checkpoints(open_all(folders, folders.__getitem__), self.reference)


class Worker:
    """Scores candidates one after the other in one live model, whose weights are overwritten in place.

    Args:
        settings: What to build and ask.
        suite: The tasks, where this process has already built them.

    Raises:
        InputError: If the tasks built here are not those the settings speak of, or the worker is not like those that
            the run began with, see :mod:`evomerge.candidate.verification`.
    """

    def __init__(self, settings: WorkerSettings, suite: TaskSuite | None = None) -> None:
        torch.set_num_threads(settings.threads)
        checkpoints = settings.open()
        if settings.verification is not None:
            refuse_unlike(settings.verification, checkpoints)
        with model_files(checkpoints, settings.candidate) as files:
            self.tokenizer = load_tokenizer(files.path, settings.trust_remote_code, scoring=settings.has_tasks)
            suite = suite or build_suite(settings.fitness, files, self.tokenizer)
        if suite_digest(suite) != settings.items:
            raise InputError(
                "the tasks have changed since the run began: a worker built other items of them; put their files back "
                "and repeat the command, or choose another run_dir"
            )
        self.live = live_model(settings, checkpoints)
        # Now, with weights that are numbers; a candidate's may not be.
        self.scorer: Scorer | None = None
        if settings.has_tasks:
            asked = settings.fitness
            self.scorer = Scorer(suite, ModelTraits.probe(self.live.model, suite, asked.prefixes, asked.drafts))
        self.device = torch.device(settings.device)
        reserve = _reserved(self.scorer, settings) if self.device.type == "cuda" else 0
        room = WeightCache(self.device, reserve=reserve)
        known = None if settings.statistics is None else settings.statistics.open()
        kept = settings.prepared
        self.merger = Merger(checkpoints, device=self.device, prepared=kept, weights=room, statistics=known)
        self.quantise = settings.quantise
        self._functions = {function.name: function.load() for function in settings.functions}
        if settings.verification is not None:
            items = suite.items["search"] if settings.has_tasks else {}
            circumstances = {
                "device": device_details(settings.device),
                "number type": settings.dtype,
                "attention": settings.attention,
                "threads": settings.threads,
            }
            verify(settings.verification, Examined(items, self, lambda: self.live.checksum(), circumstances))

    def __call__(self, job: Job) -> Outcome:
        """Installs the job's recipe and scores it on the job's items.

        Returns:
            The responses; or, where the candidate has no score, the failure: weights or answers that are not finite, no
            memory, a recipe that cannot be built, or any other error.

        Raises:
            Unusable: If the device computes no more in this process, as after an access to memory that was not there,
                or answers that are programs cannot be run, where the system had allowed it before.
        """
        seconds: dict[str, float] = {}
        try:
            with _timed(seconds, "merge"):
                plan = self.merger.plan(job.recipe)
                if not self.live.fits(plan):
                    self.live = self.live.rebuilt(plan)
                self.live.install(self.merger, job.recipe)
                if self.quantise != UNQUANTISED:
                    self.live.forget()  # before: the next candidate must not keep rounded weights, even if this fails
                    quantise(self.live.model, self.quantise)
                _wait(self.live.model)
            with _timed(seconds, "score"):
                responses = self._answers(job)
        except Unusable:
            raise
        except (NonFinite, NonFiniteScore, NonFiniteMetric) as error:
            return Outcome(error=Failure("nonfinite", str(error)), seconds=seconds)
        except (torch.OutOfMemoryError, MemoryError) as error:
            return Outcome(error=Failure("oom", first_line(error)), seconds=seconds)
        except InputError as error:
            return Outcome(error=Failure("invalid", str(error)), seconds=seconds)
        except Exception as error:
            text = f"{type(error).__name__}: {first_line(error)}"
            if not computes(self.device):
                raise Unusable(text) from error
            return Outcome(error=Failure("error", text), seconds=seconds)
        return Outcome(tuple(responses), None, seconds)

    def _answers(self, job: Job) -> list[Response]:
        """Scores the installed candidate on the job's items, then by the user's functions if the job names them."""
        items = {task: ids for task, ids in job.items.items() if task != PYTHON}
        responses: list[Response] = []
        if items and self.scorer:
            responses = self.scorer.score(self.live.model, job.split, items, job.drafts)
        if PYTHON in job.items:
            self.live.forget()  # a function may do to the weights what it likes
            values = {
                name: call_function(
                    function, f"{PYTHON}.{name}", self.live.model, self.tokenizer, candidate=job.recipe.digest
                )
                for name, function in self._functions.items()
            }
            responses.append(Response(PYTHON, "", values))
        return responses


def live_model(settings: WorkerSettings, checkpoints: Checkpoints) -> LiveModel:
    """A live model with weights that are numbers: the reference's, or a candidate's where these have other tokens.

    Args:
        settings: How it computes, and the candidate.
        checkpoints: The opened checkpoints.

    Raises:
        InputError: If the model or the candidate cannot be built.
    """
    live = LiveModel.load(
        checkpoints.reference.path,
        dtype=settings.dtype,
        attention=settings.attention,
        device=place_of(settings.device, settings.device_map, settings.max_memory),
        trust_remote_code=settings.trust_remote_code,
        causal=settings.has_tasks,
    )
    if settings.candidate is not None:
        merger = Merger(checkpoints)
        plan = merger.plan(settings.candidate)
        if not live.fits(plan):
            live = live.rebuilt(plan)
            live.install(merger, settings.candidate)
    return live


def _reserved(scorer: Scorer | None, settings: WorkerSettings) -> int:
    """Bytes of a GPU's memory that scoring takes between merges; what functions take, nobody knows."""
    if scorer is None:
        return 0
    itemsize, eager = getattr(torch, settings.dtype).itemsize, settings.attention in ("eager", "auto")
    return max(scorer.predicted_bytes(split, itemsize, eager=eager) for split in SPLITS)


def suite_digest(suite: TaskSuite) -> str:
    """SHA-256 over the items of each split and their content."""
    items: Mapping[str, Any] = {
        split: {t: list(ids) for t, ids in tasks.items()} for split, tasks in suite.items.items()
    }
    text = json.dumps([items, dict(suite.content)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class _timed:
    """Adds the wall seconds of a block to a mapping, also when the block fails."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.name] = round(time.perf_counter() - self.start, 6)


def _wait(model: torch.nn.Module) -> None:
    """Waits for GPUs, so that merging is not counted as scoring."""
    for device in {parameter.device for parameter in model.parameters() if parameter.is_cuda}:
        torch.cuda.synchronize(device)

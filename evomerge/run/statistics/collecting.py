"""Collecting the statistics of a search that are not there yet, before its first candidate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evomerge.candidate import load_live, place_of
from evomerge.checkpoints import folder_of
from evomerge.merging import Checkpoints, LiveModel, Merger
from evomerge.recipe import CheckpointRef, ModelRef
from evomerge.run import environment
from evomerge.run.recipes.space import alone
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics.required import Required, computing
from evomerge.statistics import FITTED, Calibration, Limits, Progress, StatisticsFolder, fill, fill_fitted
from evomerge.texts import duration

_FIRST, _EVERY = 5.0, 30.0  # seconds until the first line of progress, and between lines

Say = Callable[[str], None]


@dataclass(frozen=True)
class Collector:
    """Collects statistics with the models of a search.

    Attributes:
        config: The search.
        checkpoints: Its opened checkpoints.
        device: Where models live.
        attention: Their attention implementation.
        stop: Asked whether to stop, between two texts; ``none`` goes on.
    """

    config: RunConfig
    checkpoints: Checkpoints
    device: str
    attention: str
    stop: Callable[[], str] = lambda: "none"

    @property
    def folder(self) -> StatisticsFolder:
        """The folder of statistics."""
        return StatisticsFolder(self.config.statistics.path.absolute())

    def missing(self, required: Sequence[Required]) -> tuple[Required, ...]:
        """Those that are not in the folder, each once."""
        absent = set(self.folder.missing(one.key for one in required))
        return tuple({one.key: one for one in required if one.key in absent}.values())

    def collect(self, required: Sequence[Required], say: Say = lambda _: None) -> tuple[Required, ...]:
        """Makes sure that statistics are in the folder; models are loaded one after the other, those that are needed.

        Args:
            required: The statistics.
            say: Told what is collected, and how far it is.

        Returns:
            Those that had to be collected.

        Raises:
            InputError: If a model cannot be loaded, or a statistic not be collected of it.
            KeyboardInterrupt: If told to stop; what is collected stays, and the next time goes on from there.
        """
        missing = self.missing(required)
        for name in dict.fromkeys(one.name for one in missing if one.name in FITTED):
            self._fit([one for one in required if one.name == name], say)
        for model, own in _by_model([one for one in missing if one.name not in FITTED]):
            live = self.load(model)
            for calibration, wanted in _by_texts(own):
                what = f"{', '.join(dict.fromkeys(one.name for one in wanted))} of {model.label}"
                say(f"collecting {what} on {len(calibration.passages)} texts: {wanted[0].origin}")
                report = _Notice(what, say, self.stop).report
                limits = Limits(self.config.statistics.memory)
                fill(self.folder, live, calibration, [one.keyed for one in wanted], limits, report)
            del live
            environment.give_back_memory()
        return missing

    def _fit(self, together: Sequence[Required], say: Say) -> None:
        """Fits what is of all models together."""
        labels = ", ".join(one.model.label for one in together)
        say(f"fitting {together[0].name} of {labels} on {sum(len(one.calibration.passages) for one in together)} texts")
        live = self.load(together[0].model)
        notice = _Steps(say, self.stop)
        experts, texts = [self.checkpoints[one.model] for one in together], [one.calibration for one in together]
        fill_fitted(self.folder, live, experts, texts, [one.keyed for one in together], notice.say)
        del live
        environment.give_back_memory()

    def load(self, model: ModelRef) -> LiveModel:
        """A model alone, whose tensors have the reference's names.

        Args:
            model: The base, or an expert.

        Raises:
            InputError: If it cannot be loaded.
        """
        runtime = self.config.model
        source, reference = self.checkpoints[model], self.checkpoints.reference
        own = isinstance(model, CheckpointRef) and type(source) is type(reference)
        live = load_live(
            Path(folder_of(source)) if own else reference.path,
            dtype=computing(self.config),
            attention=self.attention,
            device=place_of(self.device, runtime.device_map, runtime.max_memory),
            threads=runtime.threads,
            trust_remote_code=runtime.trust_remote_code,
        )
        if not own:  # an adapter, or weights that lie in another form
            live.install(Merger(self.checkpoints, device=self.device), alone(model, self.checkpoints))
        return live


class _Notice:
    """A line of progress now and then."""

    def __init__(self, what: str, say: Say, stop: Callable[[], str]) -> None:
        self._what, self._say, self._stop = what, say, stop
        self._due = time.monotonic() + _FIRST

    def report(self, progress: Progress) -> None:
        """Told of progress after each text.

        Raises:
            KeyboardInterrupt: If told to stop.
        """
        if self._stop() != "none":
            raise KeyboardInterrupt
        if time.monotonic() >= self._due and progress.done < progress.total:
            self._due = time.monotonic() + _EVERY
            left = duration(progress.left)
            self._say(f"collecting {self._what}: {progress.done} of {progress.total} texts, about {left} left")


class _Steps:
    """Lines about a fit's steps, now and then."""

    def __init__(self, say: Say, stop: Callable[[], str]) -> None:
        self._say, self._stop = say, stop
        self._due = time.monotonic() + _FIRST

    def say(self, text: str) -> None:
        """Told of each step.

        Raises:
            KeyboardInterrupt: If told to stop.
        """
        if self._stop() != "none":
            raise KeyboardInterrupt
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _EVERY
            self._say(text)


def _by_model(required: Sequence[Required]) -> Iterator[tuple[ModelRef, list[Required]]]:
    found: dict[ModelRef, list[Required]] = {}
    for one in required:
        found.setdefault(one.model, []).append(one)
    yield from found.items()


def _by_texts(required: Sequence[Required]) -> Iterator[tuple[Calibration, list[Required]]]:
    found: dict[str, list[Required]] = {}
    for one in required:
        found.setdefault(one.calibration.digest, []).append(one)
    yield from ((own[0].calibration, own) for own in found.values())

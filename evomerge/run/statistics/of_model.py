"""Statistics of one model, for verbs that look at a model: found in the folder, or collected now."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from evomerge import statistics
from evomerge.candidate import build_suite, resolve_device
from evomerge.checkpoints import CheckpointSource, read_tokenizer
from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.settings import FitnessSettings
from evomerge.merging import LiveModel
from evomerge.recipe import ModelRef
from evomerge.run.run_config import fitness_settings
from evomerge.run.statistics.texts import written
from evomerge.run.statistics.told import forecast_text
from evomerge.statistics import Calibration, Forecast, Keyed, Limits, StatisticsFolder, StatisticsSettings, Wanted, fill

DTYPE = "float32"
"""What models compute in while they are looked at."""


@dataclass(frozen=True)
class Asked:
    """Statistics on some texts.

    Attributes:
        texts: The texts.
        wanted: The statistics.
    """

    texts: Calibration
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class LookedAt:
    """One model whose statistics are wanted.

    Attributes:
        label: Its name in messages.
        source: Its tensors.
        fingerprint: Of their content.
        load: Loads it, in float32; called only if something is missing.
        settings: Where statistics are kept, and what collecting them may take.
        say: Told what is collected, and what that takes.
    """

    label: str
    source: CheckpointSource
    fingerprint: str
    load: Callable[[], LiveModel]
    settings: StatisticsSettings
    say: Callable[[str], None] = lambda _: None

    @property
    def folder(self) -> StatisticsFolder:
        """Where statistics are kept."""
        return StatisticsFolder(self.settings.path.absolute())

    def collect(self, asked: Sequence[Asked]) -> list[tuple[Keyed, ...]]:
        """Makes sure that statistics are in the folder, and says first what that takes.

        Args:
            asked: The statistics.

        Returns:
            Of each entry the statistics with their keys.

        Raises:
            InputError: If the model cannot be loaded, or a statistic not be collected of it.
        """
        cost = self.forecast(asked)
        return self.fill(asked, "" if cost is None else f": {forecast_text(cost)}")

    def foretell(self, asked: Sequence[Asked]) -> str:
        """Forecast of a collection as a line for people; nothing is loaded."""
        cost = self.forecast(asked)
        texts = sum(len(own.passages) for own in {own.texts.digest: own.texts for own in asked}.values())
        names = " and ".join(dict.fromkeys(one.statistic for own in asked for one in own.wanted))
        told = f"nothing to collect, all is in {self.folder.path}" if cost is None else forecast_text(cost)
        notes = "" if cost is None else "".join(f"\n  {name}: {text}" for name, text in dict(cost.notes).items())
        return f"{names} of {self.label} on {texts} texts: {told}{notes}"

    def forecast(self, asked: Sequence[Asked]) -> Forecast | None:
        """Predicts the collection of what is missing, as if it were on one set of texts; None where nothing is."""
        missing = [own for own, keyed in zip(asked, self._keyed(asked), strict=True) if self._lacks(keyed)]
        if not missing:
            return None
        passages = tuple(passage for own in missing for passage in own.texts.passages)
        texts = Calibration(passages, max(own.texts.tokens for own in missing))
        wanted = list({one.statistic: one for own in missing for one in own.wanted}.values())
        return statistics.forecast(self.source, texts, wanted, Limits(self.settings.memory))

    def size(self, asked: Sequence[Asked]) -> int:
        """Bytes on disk of those that are there."""
        keys = {one.key for keyed in self._keyed(asked) for one in keyed}
        return sum(self.folder.bytes(key) for key in keys if not self.folder.missing([key]))

    def fill(self, asked: Sequence[Asked], more: str = "") -> list[tuple[Keyed, ...]]:
        """Collects what is missing; the model is loaded at most once.

        Args:
            asked: The statistics.
            more: Follows where it is said what is collected.

        Raises:
            InputError: If the model cannot be loaded, or a statistic not be collected of it.
        """
        keyed = self._keyed(asked)
        missing = [place for place, own in enumerate(keyed) if self._lacks(own)]
        if missing:
            texts = sum(len(asked[place].texts.passages) for place in missing)
            names = " and ".join(dict.fromkeys(one.statistic for place in missing for one in asked[place].wanted))
            self.say(f"collecting {names} of {self.label} on {texts} texts{more}")
            live = self.load()
            for place in missing:
                fill(self.folder, live, asked[place].texts, keyed[place], Limits(self.settings.memory))
        return keyed

    def _keyed(self, asked: Sequence[Asked]) -> list[tuple[Keyed, ...]]:
        return [tuple(Keyed.of(one, self.fingerprint, own.texts, DTYPE) for one in own.wanted) for own in asked]

    def _lacks(self, keyed: Sequence[Keyed]) -> bool:
        return bool(self.folder.missing(one.key for one in keyed))


class Looking(Protocol):
    """The part of a verb's configuration that says which model reads which texts."""

    @property
    def model(self) -> ModelRef:
        """The model."""

    @property
    def calibration(self) -> tuple[str, ...]:
        """Files with texts; none: the search items of the tasks."""

    @property
    def fitness(self) -> FitnessSettings:
        """The tasks whose search items are read, and whose other items are refused."""

    @property
    def seed(self) -> int:
        """Of the searches that have these items."""

    @property
    def sequences(self) -> int:
        """Most texts."""

    @property
    def tokens(self) -> int:
        """Most tokens of a text."""

    @property
    def statistics(self) -> StatisticsSettings:
        """Where statistics are kept, and what collecting them may take."""

    @property
    def device(self) -> str:
        """Where texts are read."""


def looking(config: Looking, source: CheckpointSource, say: Callable[[str], None]) -> tuple[LookedAt, Calibration]:
    """A model, and the texts that it reads as its tokens.

    Args:
        config: Of the verb.
        source: The model that it names.
        say: Told what is collected.

    Raises:
        InputError: If the texts cannot be read, or some are items of tasks that are held out.
    """
    tokenizer = read_tokenizer(source.path, trust_remote_code=False)
    settings = fitness_settings(config.fitness, config.seed)
    suite = build_suite(settings, source, tokenizer if settings.tasks else None)
    encoder = Encoder.of_model(tokenizer, source.config, None, None)
    found = written(config.calibration, suite, config.sequences)
    texts = Calibration.of_texts(found.texts, encoder, tokens=config.tokens, names=found.names)
    load = functools.partial(LiveModel.load, source.path, device=resolve_device(config.device, "device"))
    return LookedAt(config.model.label, source, source.fingerprint(), load, config.statistics, say), texts

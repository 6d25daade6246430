"""Statistics of one model, for verbs that look at a model: found in the folder, or collected now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evomerge import statistics
from evomerge.checkpoints import CheckpointSource
from evomerge.merging import LiveModel
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

    def forecast(self, asked: Sequence[Asked]) -> Forecast | None:
        """Predicts the collection of what is missing, as if it were on one set of texts; None where nothing is."""
        missing = [own for own, keyed in zip(asked, self._keyed(asked), strict=True) if self._lacks(keyed)]
        if not missing:
            return None
        passages = tuple(passage for own in missing for passage in own.texts.passages)
        texts = Calibration(passages, max(own.texts.tokens for own in missing))
        wanted = list({one.statistic: one for own in missing for one in own.wanted}.values())
        return statistics.forecast(self.source, texts, wanted, Limits(self.settings.memory))

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

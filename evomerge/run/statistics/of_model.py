"""Statistics of one model, for verbs that look at a model: found in the folder, or collected now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evomerge import statistics
from evomerge.checkpoints import CheckpointSource
from evomerge.merging import LiveModel
from evomerge.run.statistics.told import forecast_text
from evomerge.statistics import Calibration, Keyed, Limits, StatisticsFolder, StatisticsSettings, Wanted, fill

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
        """Makes sure that statistics are in the folder; the model is loaded at most once.

        Args:
            asked: The statistics.

        Returns:
            Of each entry the statistics with their keys.

        Raises:
            InputError: If the model cannot be loaded, or a statistic not be collected of it.
        """
        keyed = [tuple(Keyed.of(one, self.fingerprint, own.texts, DTYPE) for one in own.wanted) for own in asked]
        folder, limits = self.folder, Limits(self.settings.memory)
        missing = [place for place, own in enumerate(keyed) if folder.missing(one.key for one in own)]
        if not missing:
            return keyed
        self._forecast([asked[place] for place in missing], limits)
        live = self.load()
        for place in missing:
            fill(folder, live, asked[place].texts, keyed[place], limits)
        return keyed

    def _forecast(self, asked: Sequence[Asked], limits: Limits) -> None:
        """Says what collecting takes: everything at once, as if it were one set of texts."""
        passages = tuple(passage for own in asked for passage in own.texts.passages)
        texts = Calibration(passages, max(own.texts.tokens for own in asked))
        wanted = list({one.statistic: one for own in asked for one in own.wanted}.values())
        found = statistics.forecast(self.source, texts, wanted, limits)
        names = " and ".join(one.statistic for one in wanted)
        self.say(f"collecting {names} of {self.label} on {len(passages)} texts: {forecast_text(found)}")

"""Forecast of collecting the statistics of a search: disk, memory, passes and seconds, from headers and texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evomerge import statistics
from evomerge.merging import Checkpoints, ModelSettings
from evomerge.merging.plan import DTYPES
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics.required import Required, computing
from evomerge.statistics import Forecast, Limits


@dataclass(frozen=True)
class CollectionForecast:
    """Cost of collecting statistics where none is there yet.

    Attributes:
        disk: Bytes of its files.
        passes: How often texts go through a model, over all models.
        seconds: Seconds of that.
        memory: Most memory at one time, beside the program: of one model after the other.
        notes: Sentences about tensors whose array is another than one would expect.
    """

    disk: int
    passes: int
    seconds: float
    memory: int
    notes: tuple[str, ...]


def forecast(required: Sequence[Required], checkpoints: Checkpoints, config: RunConfig) -> CollectionForecast | None:
    """Predicts the collection of everything that candidates read; None where they read nothing.

    All models are of the reference's form, so what is wanted together of several is looked at once.

    Args:
        required: The statistics.
        checkpoints: The opened checkpoints.
        config: The search.

    Raises:
        InputError: If a statistic cannot be collected, as where its sums find no room.
    """
    limits, model = Limits(config.statistics.memory), config.model
    settings = ModelSettings(DTYPES[computing(config)], model.attention, trust_remote_code=model.trust_remote_code)
    known: dict[tuple[object, ...], Forecast] = {}
    found: list[Forecast] = []
    for own in _together(required):
        key = own[0].calibration.digest, *(one.name for one in own)
        if key not in known:
            wanted = [one.keyed.wanted for one in own]
            known[key] = statistics.forecast(checkpoints.reference, own[0].calibration, wanted, limits, settings)
        found.append(known[key])
    fitted = list({one.key: one for one in required if one.name in statistics.FITTED}.values())
    if fitted:
        texts = [one.calibration for one in fitted]
        found.append(statistics.forecast_fitted(checkpoints.reference, texts, limits, config.statistics.dam, settings))
    if not found:
        return None
    notes = dict.fromkeys(f"{name}: {text}" for one in known.values() for name, text in one.notes)
    return CollectionForecast(
        disk=sum(one.disk for one in found),
        passes=sum(one.passes for one in found),
        seconds=sum(one.seconds for one in found),
        memory=max(one.memory for one in found),
        notes=tuple(notes),
    )


def _together(required: Sequence[Required]) -> Iterator[list[Required]]:
    """The statistics that go through one model on the same texts together, apart from fits."""
    found: dict[tuple[str, str], dict[str, Required]] = {}
    for one in required:
        if one.name in statistics.FITTED:
            continue
        place = (str(one.keyed.about["model"]), one.calibration.digest)
        found.setdefault(place, {})[one.key] = one
    yield from (list(own.values()) for own in found.values())

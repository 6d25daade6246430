"""Statistics of several models together: fitted on the texts of all of them, kept by key as any other statistic is."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch

from evomerge.checkpoints import CheckpointSource, is_vocabulary, write_arrays
from evomerge.errors import InputError
from evomerge.merging import LiveModel, ModelSettings
from evomerge.statistics._fits.dam import DamFit, fit
from evomerge.statistics._fits.settings import DamSettings, Terms
from evomerge.statistics._fits.state import Kept
from evomerge.statistics._layerwise.matrices import matrices
from evomerge.statistics._shared.collection import Limits
from evomerge.statistics._shared.filling import alone
from evomerge.statistics._shared.forecast import Forecast, forecast
from evomerge.statistics._shared.key import Keyed, Wanted
from evomerge.statistics._shared.store import DESCRIPTION, ORIGIN, StatisticsFolder, described_text
from evomerge.statistics._shared.texts import Calibration
from evomerge.texts import write_text

FITTED = ("dam",)
"""Names of the statistics that are fitted to several models together."""
_VERSION = 1
_LIBRARIES = ("torch", "transformers")
_WITH_EXPERT = 4 / 3  # work with a forward pass of the expert, relative to a forward and a backward pass


def fitted_keys(
    fingerprints: Sequence[str],
    texts: Sequence[Calibration],
    dtype: str = "float32",
    settings: DamSettings | None = None,
) -> tuple[Keyed, ...]:
    """The keys of DAM's coefficients, one of each model: they depend on all models, their order, and all texts.

    Args:
        fingerprints: Of the models' checkpoints.
        texts: Each model's own.
        dtype: The type that models compute in.
        settings: How coefficients are fitted.

    Raises:
        InputError: If the settings allow no fit.
    """
    if settings is not None and (problems := settings.problems()):
        raise InputError(problems)
    together = {
        "statistic": "dam",
        "version": _VERSION,
        "options": asdict(settings or DamSettings()),
        "models": list(fingerprints),
        "texts": [own.digest for own in texts],
        "tokens": max(own.tokens for own in texts),
        "dtype": dtype,
    }
    return tuple(
        Keyed(Wanted("dam"), {**together, "model": fingerprint, "place": place})
        for place, fingerprint in enumerate(fingerprints)
    )


def fill_fitted(
    folder: StatisticsFolder,
    live: LiveModel,
    experts: Sequence[CheckpointSource],
    texts: Sequence[Calibration],
    wanted: Sequence[Keyed],
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Makes sure that DAM's coefficients are in a folder: found there, or fitted now.

    A fit that is stopped or killed goes on from its last whole epoch, or from about a minute before.

    Args:
        folder: The folder.
        live: A model of the experts' form; its own weights are overwritten.
        experts: The models that the keys name, in their order.
        texts: Each one's own.
        wanted: The keys, see `fitted_keys`, which say how coefficients are fitted.
        say: Told of each step; what it raises ends the fit.
    """
    keys = [one.key for one in wanted]
    with alone(folder.path, folder.missing(keys)):
        if not folder.missing(keys):  # another process may have been faster
            return
        transposed = [name for name, one in matrices(live).items() if one.transposed]
        for one in wanted:
            write_text(folder.path / one.key / DESCRIPTION, described_text({"key": one.about, "complete": False}))
        model, kept = DamFit(live, experts), Kept(folder.path / keys[0], {ORIGIN: keys[0]})
        found = fit(
            model,
            [[passage.ids.tolist() for passage in own.passages] for own in texts],
            _settings(wanted[0]),
            say,
            kept,
        )
        for one, columns, own in zip(wanted, found, texts, strict=True):
            place = folder.path / one.key
            for path in place.glob("window-*"):
                path.unlink()
            write_arrays(place / "window-000.safetensors", columns, {ORIGIN: one.key})
            about = {
                "key": one.about,
                "complete": True,
                "sequences": len(own.passages),
                "tokens": sum(len(passage.ids) for passage in own.passages),
                "aliases": {},
                "absent": sorted(live.places.keys() - columns.keys()),
                "transposed": transposed,
                "notes": {},
                "threads": torch.get_num_threads(),
                "device": str(live.model.device),
                "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
            }
            write_text(place / DESCRIPTION, described_text(about))
        kept.remove()


def _settings(one: Keyed) -> DamSettings:
    """The settings that a key was made of."""
    options = dict(one.about["options"])
    return DamSettings(**{**options, "terms": Terms(**options["terms"])})


def forecast_fitted(
    source: CheckpointSource,
    texts: Sequence[Calibration],
    limits: Limits,
    fitting: DamSettings,
    settings: ModelSettings | None = None,
) -> Forecast:
    """Predicts a fit without reading any weights, from what gradients of the same texts take.

    Each text goes through the merged model forward and backward, and through its expert forward; in memory are all
    experts, their mean, the merged model, and what the gradient takes.

    Args:
        source: The checkpoint of any of the models.
        texts: Each one's own.
        limits: Bounds of the gradients.
        fitting: How coefficients are fitted.
        settings: How models compute; float32 by default.
    """
    passes = [forecast(source, own, [Wanted("snip")], limits, settings) for own in texts]
    columns = sum(s.shape[-1] for name, s in source.specs.items() if len(s.shape) == 2 and not is_vocabulary(name))
    copies = len(texts) + 2
    return Forecast(
        disk=4 * len(texts) * columns,
        passes=fitting.epochs,
        seconds=sum(one.seconds for one in passes) * _WITH_EXPERT * fitting.epochs,
        live=passes[0].live * copies,
        working=max(one.working for one in passes),
    )

"""The statistics that candidates read: which statistic of which model on which texts, and its key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge import statistics
from evomerge.checkpoints import is_vocabulary
from evomerge.errors import InputError
from evomerge.merging import Checkpoints
from evomerge.methods import Need
from evomerge.recipe import CheckpointRef, ModelRef, Recipe
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics.texts import Texts
from evomerge.statistics import Calibration, Keyed, Wanted


@dataclass(frozen=True, eq=False)
class Required:
    """One statistic.

    Attributes:
        model: Whose passes it comes from.
        calibration: The texts.
        origin: Where these are from, in words.
        keyed: The statistic and its key, which is right once the model's fingerprint is known.
    """

    model: ModelRef
    calibration: Calibration
    origin: str
    keyed: Keyed

    @property
    def key(self) -> str:
        """Its key."""
        return self.keyed.key

    @property
    def name(self) -> str:
        """Its name, such as ``fisher``."""
        return self.keyed.wanted.statistic

    def describe(self) -> str:
        """In words: what it is of, and on which texts."""
        return f"{self.name} of {self.model.label} on {self.origin}"

    def to_json(self) -> dict[str, Any]:
        """For a run's manifest."""
        texts = {"of": self.origin, "digest": self.calibration.digest, "sequences": len(self.calibration.passages)}
        return {"key": self.key, "statistic": self.name, "model": self.model.label, "texts": texts}


def required(
    recipe: Recipe, needs: Sequence[Need], texts: Texts, config: RunConfig, checkpoints: Checkpoints
) -> tuple[Required, ...]:
    """The statistics of a search's candidates, in the order of their recipes' keys.

    Args:
        recipe: The recipe of any candidate.
        needs: What its method and steps need.
        texts: The calibration texts.
        config: The search.
        checkpoints: Its opened checkpoints.

    Raises:
        InputError: With everything that is wrong with texts, or that nothing can be collected of.
    """
    problems: list[str] = []
    found: list[Required] = []
    for need in needs:
        if need.statistic in statistics.FITTED:
            found += _fitted(need, recipe, texts, config, problems)
            continue
        for model, label in _readers(need, recipe, problems):
            wanted = _wanted(need, config, checkpoints)
            try:
                calibration = texts.calibration(label, model)
                keyed = Keyed.of(wanted, fingerprint_of_ref(model), calibration, computing(config))
            except InputError as error:
                problems += error.problems
                continue
            found.append(Required(model, calibration, texts.of(label).origin, keyed))
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return tuple(found)


def _fitted(need: Need, recipe: Recipe, texts: Texts, config: RunConfig, problems: list[str]) -> Iterator[Required]:
    """A statistic that is fitted to all models together, on the texts of all of them."""
    readers = list(_readers(need, recipe, problems))
    own: list[Calibration] = []
    for model, label in readers:
        try:
            own.append(texts.calibration(label, model))
        except InputError as error:
            problems += error.problems
    if not own or len(own) < len(readers):
        return
    keys = statistics.fitted_keys(
        [fingerprint_of_ref(model) for model, _ in readers], own, computing(config), config.statistics.dam
    )
    for (model, label), calibration, keyed in zip(readers, own, keys, strict=True):
        yield Required(model, calibration, texts.of(label).origin, keyed)


def computing(config: RunConfig) -> str:
    """The type that models compute in while they are looked at: as the user says, the same on every machine."""
    return "float32" if config.model.dtype == "auto" else config.model.dtype


def fingerprint_of_ref(ref: ModelRef) -> str:
    """Stands for the weights of a model: its fingerprint, or of an adapter that and the one of what it is on."""
    if isinstance(ref, CheckpointRef) and ref.fingerprint is not None:
        return ref.fingerprint
    return hashlib.sha256(json.dumps(ref.identity(), sort_keys=True).encode()).hexdigest()


def _readers(need: Need, recipe: Recipe, problems: list[str]) -> Iterator[tuple[ModelRef, str | None]]:
    """The models that a need is of, each with the label of whose texts it reads; None stands for the shared ones."""
    base = None if isinstance(recipe.base, Recipe) else recipe.base
    if need.of == "base" and base is None:
        what = "is missing" if recipe.base is None else "is a recipe"
        problems.append(f"base: statistic {need.statistic} is of the base, which {what}; name a checkpoint, base=...")
        return
    if need.of == "base" and base is not None and need.texts == "shared":
        yield base, None
        return
    for place, source in enumerate(recipe.sources):
        if isinstance(source, Recipe):
            problems.append(
                f"sources[{place}]: statistic {need.statistic} is of every source, and this one is a recipe, of which "
                "none is collected; merge it first, and name the merged model"
            )
            continue
        about = base if need.of == "base" and base is not None else source
        yield about, None if need.texts == "shared" else source.label


def _wanted(need: Need, config: RunConfig, checkpoints: Checkpoints) -> Wanted:
    """The statistic with the options that follow from the settings; one that changes nothing is left out of the key."""
    limit = config.statistics.gram_limit
    limited = "limit" in statistics.load(need.statistic).options and _widest(checkpoints) > limit
    return Wanted(need.statistic, {"limit": limit} if limited else {})


def _widest(checkpoints: Checkpoints) -> int:
    """The most inputs or outputs that a matrix of the reference has, its vocabulary apart."""
    specs = checkpoints.reference.specs
    return max((max(spec.shape) for name, spec in specs.items() if len(spec.shape) > 1 and not is_vocabulary(name)),
               default=0)  # fmt: skip

"""The routers that a mixture of dense models begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evomerge.checkpoints import is_embedding
from evomerge.errors import InputError
from evomerge.merging import LiveModel, Merger
from evomerge.merging.mixture import (
    ExpertPrompts,
    Rows,
    States,
    random_rows,
    rows_from_embeddings,
    rows_from_states,
    uniform_rows,
)
from evomerge.recipe import Recipe
from evomerge.run.configs.mixtures import BuildConfig
from evomerge.run.statistics.of_model import Asked, LookedAt
from evomerge.statistics import LAYERS, Calibration, Passage, Wanted

STATES = {"hidden": "hidden_last", "hidden_mean": "hidden_mean"}
"""The statistic of each way to begin that reads hidden states."""


@dataclass(frozen=True)
class Gates:
    """The routers of one mixture.

    Attributes:
        config: Of the verb.
        merger: Of the recipe's checkpoints.
        recipe: Whose model reads the prompts: that which everything but experts comes from.
        looked: That model, as statistics are collected of it.
    """

    config: BuildConfig
    merger: Merger
    recipe: Recipe
    looked: LookedAt

    def rows(self, prompts: Sequence[ExpertPrompts]) -> Rows:
        """The routers.

        Args:
            prompts: Of each expert, where they are used.

        Raises:
            InputError: If there are no prompts where they are needed, or the model cannot be loaded.
        """
        how = self.config.gate
        if how == "random":
            layers = self.merger.plan(self.recipe).outputs.layers
            return random_rows(layers, len(self.config.experts), self._width(), self.config.seed)
        if how == "uniform":
            return self.alike()
        if how == "embedding":
            return rows_from_embeddings(self.merger.tensor(self.recipe, self._embedding()), prompts)
        return rows_from_states(self._states(prompts))

    def alike(self) -> Rows:
        """Routers of the same size that find all experts alike."""
        return uniform_rows(len(self.config.experts), self._width())

    def asked(self, prompts: Sequence[ExpertPrompts]) -> list[Asked]:
        """Statistics that they are made of: of each expert's prompts, and of those that are not for it."""
        if self.config.gate not in STATES:
            return []
        wanted = (Wanted(STATES[self.config.gate]),)
        return [Asked(calibration_of(ids), wanted) for own in prompts for ids in (own.positive, own.negative) if ids]

    def _embedding(self) -> str:
        name = next((name for name in self.merger.plan(self.recipe).specs if is_embedding(name)), None)
        if name is None:
            raise InputError("the model has no input embeddings, so it can have no router")
        return name

    def _width(self) -> int:
        return self.merger.plan(self.recipe).specs[self._embedding()].shape[1]

    def _states(self, prompts: Sequence[ExpertPrompts]) -> States:
        """The mean states at each expert's prompts, and at those that are not for it."""
        texts = [(own.positive, own.negative) for own in prompts]
        keyed = iter(self.looked.collect(self.asked(prompts)))
        folder = self.looked.folder
        found = [[folder.tensor(next(keyed)[0].key, LAYERS) if ids else None for ids in pair] for pair in texts]
        return [(own, other) for own, other in found if own is not None]


def calibration_of(texts: Sequence[Sequence[int]]) -> Calibration:
    """Texts of a mixture's prompts, whole, as they are looked at."""
    passages = tuple(Passage(np.array(ids, dtype=np.int32), np.arange(len(ids)) > 0) for ids in texts)
    return Calibration(passages, max(map(len, texts)))


def loaded(merger: Merger, recipe: Recipe) -> LiveModel:
    """The model of a recipe in memory, in float32 on the merger's device."""
    plan = merger.plan(recipe)
    live = LiveModel.load(merger.checkpoints.reference.path, device=merger.device)
    if not live.fits(plan):
        live = live.rebuilt(plan)
    live.install(merger, recipe)
    return live

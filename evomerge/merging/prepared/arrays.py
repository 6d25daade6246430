"""All prepared arrays of a merger: its own method's, and those of recipes inside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from evomerge.merging.plan.outputs import Outputs
from evomerge.merging.prepared.inner import InnerArrays, model_key
from evomerge.merging.prepared.store import (
    Arrays,
    Prepare,
    PreparedSettings,
    PreparedStore,
    prepared_bounds,
    prepared_key,
)
from evomerge.recipe import Recipe


class PreparedArrays:
    """The prepared arrays that a merger reads.

    The merger of a recipe inside of another reads what was filled for the outer one, and fills nothing by itself.

    Args:
        settings: Where arrays are kept.
        device: Where merging is computed; arrays belong to a kind of device.
        inner: What recipes inside have prepared, where other mergers have it too.
        inside: Whether the merger's own recipe is inside of another.
    """

    def __init__(
        self,
        settings: PreparedSettings,
        device: torch.device,
        inner: InnerArrays | None = None,
        *,
        inside: bool = False,
    ) -> None:
        self._settings = settings
        self._device = device
        self._own = PreparedStore(settings)
        self._inner = inner or InnerArrays(settings)
        self._inside = inside

    def on(self, device: torch.device) -> PreparedArrays:
        """The arrays for a merger on another device: these, if it is of the same type."""
        same = device.type == self._device.type
        return self if same else PreparedArrays(self._settings, device, self._inner)

    def inside(self) -> PreparedArrays:
        """The arrays for the merger of a recipe inside."""
        return PreparedArrays(self._settings, torch.device("cpu"), self._inner, inside=True)

    def get(self, outputs: Outputs, name: str) -> Arrays | None:
        """The arrays of a tensor, none where the method prepares none; or None if they are not kept."""
        if name not in outputs.prepared:
            return {}
        key = prepared_key(outputs, self._device)
        return self._inner.get(key, name) if self._inside else self._own.get(key, name)

    def stay(self, outputs: Outputs, name: str) -> bool:
        """Whether the arrays of a tensor are kept until others are filled that this merger knows of."""
        return not self._inside and self.get(outputs, name) is not None

    def hold(self, outputs: Outputs) -> bool:
        """Whether what recipes inside prepare has been looked after, and not been forgotten for others' since."""
        return self._inside or self._inner.holds(outputs)

    def model(self, recipe: Recipe) -> Callable[[str], torch.Tensor | None]:
        """Gives the merged tensors of a recipe inside by name; None where one is not kept."""
        return partial(self._inner.model, model_key(recipe))

    def keep_models(self, outputs: Outputs) -> None:
        """Keeps the models of the recipes that a recipe is merged from, as far as there is room."""
        if not self._inside:
            self._inner.keep_models(outputs, self._own.less(self._settings))

    def fill(self, outputs: Outputs, prepare: Prepare) -> None:
        """Makes sure that the arrays of a recipe and of those inside are there, as far as there is room.

        Args:
            outputs: The recipe's.
            prepare: Prepares the arrays of its own tensors, by name.
        """
        if self._inside:
            return
        key, known = prepared_key(outputs, self._device), outputs.known_by_content
        if outputs.prepared:
            self._own.turn_to(key)
        self._inner.fill(outputs, self._own.less(self._settings))
        if outputs.prepared:
            room = self._inner.less(self._settings)
            self._own.fill(key, prepared_bounds(outputs), prepare, everywhere=known, room=room)

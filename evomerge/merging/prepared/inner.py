"""Prepared arrays of recipes inside of recipes.

An inner recipe is merged tensor by tensor whenever one of its tensors is read, once for every candidate. What its
method prepares does not depend on coefficients, so it is kept like that of the outer method, under the same limits and
beside it on disk. What the merge gives takes a model's size for each inner recipe, and where candidates differ in these
it would be written once for each candidate; so it is kept, like that, from the second candidate on that has the same
recipes inside as the one before it: candidates of a later round of a search, whose models are elites.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from evomerge.errors import InputError
from evomerge.lease import Lease
from evomerge.merging.plan.outputs import Outputs
from evomerge.merging.plan.recipe_source import RecipeSource
from evomerge.merging.prepared.store import (
    Arrays,
    Place,
    PreparedSettings,
    PreparedStore,
    prepared_bounds,
    prepared_key,
)
from evomerge.recipe import Recipe

_CPU = torch.device("cpu")  # where inner recipes are merged, wherever the outer one is
_FOLDERS = "inside-"
_ASIDE = ".removed-"
_MODEL_OF = "model "  # begins the keys of models
_MODEL = "merged"  # the label of a tensor of a model, where methods name what they prepare


def inner_sources(outputs: Outputs) -> Iterator[RecipeSource]:
    """The recipes inside of one, at any depth, those first that others are merged from."""
    for source in outputs.sources:
        if isinstance(source, RecipeSource):
            yield from inner_sources(source.plan.outputs)
            yield source


def inner_bounds(outputs: Outputs) -> Iterator[tuple[str, RecipeSource, Mapping[str, int]]]:
    """Arrays that recipes inside prepare: their key, who prepares them, and the most bytes for each tensor.

    Two recipes that differ in coefficients alone share what is prepared; it comes once.
    """
    found: dict[str, set[str]] = {}
    for source in inner_sources(outputs):
        key = prepared_key(source.plan.outputs, _CPU)
        known = found.setdefault(key, set())
        bounds = {name: most for name, most in prepared_bounds(source.plan.outputs).items() if name not in known}
        known |= bounds.keys()
        if bounds:
            yield key, source, bounds


def places(outputs: Outputs, settings: PreparedSettings) -> dict[str, dict[str, Place]]:
    """The place of what a recipe and those inside prepare, by :attr:`Outputs.prepared_key` and tensor."""
    found: dict[str, dict[str, Place]] = {source.plan.outputs.prepared_key: {} for source in inner_sources(outputs)}
    for _, source, bounds in inner_bounds(outputs):
        plan = settings.plan(bounds)
        found.setdefault(source.plan.outputs.prepared_key, {}).update(plan)
        settings = settings.without(bounds, plan)
    own = settings.plan(prepared_bounds(outputs))
    return {**found, outputs.prepared_key: own | found.get(outputs.prepared_key, {})}


class InnerArrays:
    """The prepared arrays of recipes inside, for the recipe that was merged last.

    Args:
        settings: Where they are kept, each method's in a folder of its own.
    """

    def __init__(self, settings: PreparedSettings) -> None:
        self._settings = settings
        self._stores: dict[str, PreparedStore] = {}

    def get(self, key: str, name: str) -> Arrays | None:
        """The arrays of a tensor, or None if they are not kept."""
        return self._stores[key].get(key, name) if key in self._stores else None

    def model(self, key: str, name: str) -> torch.Tensor | None:
        """A merged tensor of a recipe inside, by `model_key`; None where it is not kept."""
        found = self.get(key, name)
        return None if found is None else found[_MODEL]

    def holds(self, outputs: Outputs) -> bool:
        """Whether all that a recipe needs was looked after, and has not been forgotten since."""
        inside = (source.plan.outputs for source in inner_sources(outputs))
        return all(prepared_key(own, _CPU) in self._stores for own in inside if own.prepared)

    def less(self, limits: PreparedSettings, but: str | None = None) -> PreparedSettings:
        """The part of limits that is left to others beside all that is kept here, but for one key's."""
        for key, store in self._stores.items():
            limits = limits if key == but else store.less(limits)
        return limits

    def fill(self, outputs: Outputs, limits: PreparedSettings) -> None:
        """Makes sure that the arrays of all recipes inside of one are there, as far as there is room.

        Where arrays are to come, of these or of the outer recipe's own method, those that only other recipes need are
        forgotten: they would take the room.

        Args:
            outputs: The outer recipe's.
            limits: The limits for all recipes inside.
        """
        wanted = list(inner_bounds(outputs))
        if outputs.prepared or any(key not in self._stores for key, _, _ in wanted):
            self._forget_others({key for key, _, _ in wanted} | _models(outputs))
        for key, source, bounds in wanted:
            room = self._within(self.less(limits, but=key), key)
            store = self._stores.setdefault(key, PreparedStore(room))
            store.fill(key, bounds, source.prepare, everywhere=source.plan.outputs.known_by_content, room=room)

    def keep_models(self, outputs: Outputs, limits: PreparedSettings) -> None:
        """Merges the models of recipes that a recipe is merged from, and keeps their tensors as far as there is room.

        Where any are to come, those of recipes that are nowhere inside of this one are forgotten: they would take the
        room. So are those that only these models are made of, where there is no room beside them.

        Args:
            outputs: The outer recipe's.
            limits: The limits for all that is kept here.
        """
        sources = [source for source in outputs.sources if isinstance(source, RecipeSource)]
        keys = {model_key(source.plan.recipe): _model_bounds(source) for source in sources}
        if missing := {key: bounds for key, bounds in keys.items() if key not in self._stores}:
            arrays = {key for key in self._stores if not key.startswith(_MODEL_OF)}
            arrays |= {key for key, _, _ in inner_bounds(outputs)}
            self._forget_others(_models(outputs) | arrays)
            left = self.less(limits)
            room_left = left.memory + (left.disk if left.folder is not None else 0)
            if sum(sum(bounds.values()) for bounds in missing.values()) > room_left:
                self._forget_others(keys.keys() | arrays)
        for source in sources:
            key, everywhere = model_key(source.plan.recipe), source.plan.outputs.known_by_content
            room = self._within(self.less(limits, but=key), key)
            store = self._stores.setdefault(key, PreparedStore(room))
            store.fill(key, keys[key], partial(_merged, source), everywhere=everywhere, room=room)

    def _within(self, settings: PreparedSettings, key: str) -> PreparedSettings:
        """Limits with the folder for one key, of which the parent is made where this machine sees the run's folder."""
        if settings.folder is None:
            return settings
        folder = Path(settings.folder)
        if folder.parent.is_dir() and not folder.exists():
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
            except OSError:
                return replace(settings, folder=None)
        return replace(settings, folder=str(folder / _folder_name(key)))

    def _forget_others(self, keys: Collection[str]) -> None:
        """Forgets all but some keys, their files too, unless another worker writes them just now."""
        self._stores = {key: store for key, store in self._stores.items() if key in keys}
        stay = set(map(_folder_name, keys))
        home = None if self._settings.folder is None else Path(self._settings.folder)
        for folder in [] if home is None else home.glob(f"{_FOLDERS}*"):
            if folder.name not in stay:
                _set_aside(folder)
        for folder in [] if home is None else home.glob(f"{_ASIDE}*"):  # those of a killed process too
            shutil.rmtree(folder, ignore_errors=True)


def model_key(recipe: Recipe) -> str:
    """The key of the merged tensors of a recipe inside."""
    return f"{_MODEL_OF}{recipe.digest}"


def _model_bounds(source: RecipeSource) -> dict[str, int]:
    """Bytes of the merged tensors of a recipe inside."""
    tensors = source.plan.outputs.tensors
    return {name: tensor.spec.nbytes for name, tensor in tensors.items() if tensor.row is not None}


def _models(outputs: Outputs) -> set[str]:
    """The keys of the models of all recipes inside, which a process before this one may have kept."""
    return {model_key(source.plan.recipe) for source in inner_sources(outputs)}


def _merged(source: RecipeSource, names: Sequence[str]) -> Iterator[tuple[str, Arrays]]:
    yield from ((name, {_MODEL: source.tensor(name)}) for name in names)


def _set_aside(folder: Path) -> None:
    """Gives a folder a name that nobody looks for, unless another worker writes it just now.

    Under its own name it goes at once, its lease with it: whoever wants that name meanwhile gets a folder of its own,
    in which nothing is removed.
    """
    with suppress(InputError, OSError):
        lease = Lease.take(folder)
        try:
            folder.rename(folder.with_name(f"{_ASIDE}{secrets.token_hex(8)}"))
        finally:
            lease.release()


def _folder_name(key: str) -> str:
    return _FOLDERS + hashlib.sha256(key.encode()).hexdigest()[:16]

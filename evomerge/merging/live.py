"""A model in memory that candidates are installed into, one after the other."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from transformers import PreTrainedModel

from evomerge.checkpoints import CheckpointSource, TensorSpec, open_source
from evomerge.errors import InputError
from evomerge.merging.blueprint import AUTO, Blueprint, is_computed_weight, missing_weights
from evomerge.merging.buffers import Buffer, checksum, same_places
from evomerge.merging.loop import Merger
from evomerge.merging.plan.merge_plan import MergePlan
from evomerge.merging.spread import Spread, first, put
from evomerge.merging.weight_map import Piece, weight_map
from evomerge.recipe import Recipe


@dataclass(frozen=True)
class ModelSettings:
    """Type, attention and device of a live model.

    Attributes:
        dtype: The type it computes in.
        attention: transformers' name of an attention implementation; ``auto`` is what transformers chooses.
        device: Where it lives; its layers may be spread over several devices.
        trust_remote_code: Whether code that comes with a checkpoint may run.
        causal: Whether it must be a causal language model; else it is what the checkpoint's config names.
    """

    dtype: torch.dtype
    attention: str = AUTO
    device: torch.device | str | Spread = "cpu"
    trust_remote_code: bool = False
    causal: bool = True


class LiveModel:
    """A transformers model whose weights are overwritten in place by each candidate.

    There is one copy of the weights. Installing writes into the memory that is there, so ties stay tied and whatever
    holds on to the model sees the new weights.

    Args:
        model: A model loaded from a checkpoint, in evaluation mode.
        pieces: Where each tensor on disk goes in it, see :func:`~evomerge.merging.weight_map.weight_map`.
        settings: How it computes.
        config: The config that it was built from, where that is not the reference checkpoint's.

    Attributes:
        model: The model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        pieces: Mapping[str, tuple[Piece, ...]],
        settings: ModelSettings,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self._settings = settings
        self._config = config
        self._pieces = {name: found for name, found in pieces.items() if found}
        self._ignored = frozenset(name for name, found in pieces.items() if not found)
        self._state: dict[str, torch.Tensor] = model.state_dict()
        self._installed: dict[str, Hashable] = {}  # what the bytes in place depend on, where that is known
        self._places: dict[str, torch.Tensor | None] = {}
        self._buffers: dict[torch.device, Buffer] = {}
        unusual = [name for name, tensor in self._state.items() if not tensor.is_contiguous()]
        if unusual:
            raise InputError(f"parameter {unusual[0]!r} is not contiguous in memory, so nothing can be installed in it")

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        dtype: str | torch.dtype = "float32",
        attention: str = AUTO,
        device: torch.device | str | Spread = "cpu",
        trust_remote_code: bool = False,
        causal: bool = True,
    ) -> Self:
        """Loads a checkpoint with transformers and finds out where its tensors go.

        The places found are checked against what transformers itself loaded: every element of every tensor.

        Args:
            folder: The reference checkpoint.
            dtype: The type that the model computes in.
            attention: transformers' name of an attention implementation; ``auto`` is what transformers chooses.
            device: Where the model lives; its layers may be spread over several devices.
            trust_remote_code: Whether code that comes with the checkpoint may run.
            causal: Whether it must be a causal language model, see :meth:`ModelClass.of`.

        Raises:
            InputError: If the folder does not hold all weights of the model that its config describes, or a weight
                does not reach the model by moving elements alone.
        """
        checkpoint = open_source(folder)
        settings = ModelSettings(_dtype(dtype), attention, device, trust_remote_code, causal)
        blueprint = Blueprint.of(
            checkpoint, dtype=settings.dtype, attention=attention, trust_remote_code=trust_remote_code, causal=causal
        )
        pieces = weight_map(blueprint.model, _shapes(checkpoint.specs))
        model, info = blueprint.load(checkpoint.path, settings.dtype)
        _check_loaded(checkpoint, info)
        live = cls(_frozen(put(model, device)), pieces, settings)
        live._verify(checkpoint)
        return live

    def rebuilt(self, plan: MergePlan) -> Self:
        """A model for the candidates of a plan that this one does not fit, computing as this one does.

        Its weights are those of no model until a candidate is installed. This model's weights are given up, so that
        there is memory for the new ones; from then on it fits no plan.

        Args:
            plan: A plan whose model has other layers than the reference checkpoint, or again the same.

        Raises:
            InputError: If transformers cannot build the model, or its parameters are not those that the plan makes.
        """
        settings, outputs = self._settings, plan.outputs
        if not outputs.reshaped:
            self._give_up()
            return self.load(outputs.template.path, **vars(settings))
        blueprint = Blueprint.of_config(
            outputs.config, dtype=settings.dtype, attention=settings.attention, causal=settings.causal
        )
        pieces = weight_map(blueprint.model, _shapes(outputs.specs))
        self._give_up()
        model = put(blueprint.empty(outputs.template.path, settings.dtype, first(settings.device)), settings.device)
        live = type(self)(_frozen(model), pieces, settings, outputs.config)
        if unfilled := live._unfilled():
            raise InputError([f"parameter {name!r} of the merged model is filled by no tensor" for name in unfilled])
        return live

    def fits(self, plan: MergePlan) -> bool:
        """Whether this is the model of a plan's config, so that its candidates can be installed."""
        return bool(self._state) and self._config == (plan.outputs.config if plan.outputs.reshaped else None)

    def _give_up(self) -> None:
        """Lets go of the weights."""
        self.forget()
        self._places.clear()
        self._state.clear()
        self.model.to("meta")  # type: ignore[arg-type]

    @property
    def places(self) -> Mapping[str, tuple[Piece, ...]]:
        """Where each tensor that the model takes lies in its parameters and buffers, by its name on disk."""
        return self._pieces

    @torch.no_grad()
    def install(self, merger: Merger, recipe: Recipe) -> tuple[str, ...]:
        """Makes the model a recipe's candidate.

        Tensors that the candidate before it left exactly as this one wants them stay; all others are merged, straight
        into the model's memory where a tensor is one stretch of it, of the type that it is rounded to.

        If merging raises, some weights are the new ones and some are not. The model knows which: install another
        candidate, or the same one again.

        Args:
            merger: Of checkpoints whose reference has the tensors of the checkpoint that this model was loaded from.
            recipe: The candidate.

        Returns:
            Names on disk of the tensors that were written.

        Raises:
            InputError: If the recipe does not fit its method or its checkpoints.
            ValueError: If the recipe's model, or the merger's reference, has other tensors than this model.
            NonFinite: If a merged tensor is not finite.
        """
        plan = merger.plan(recipe)
        if not self.fits(plan):
            raise ValueError("the recipe's model has other layers than this one; see `rebuilt`")
        keys = {name: (str(self._device(name, merger)), key) for name, key in plan.keys().items()}
        # What the reference lacks and the recipe keeps is for the folder: the model has no place for it.
        unlike = sorted((keys.keys() - plan.outputs.kept) ^ (self._pieces.keys() | self._ignored))
        if unlike:
            raise ValueError(f"tensor {unlike[0]!r} is in the model or in the merger's reference, but not in both")
        changed = [name for name in self._pieces if name not in self._installed or self._installed[name] != keys[name]]
        written = {}
        for device in dict.fromkeys(self._device(name, merger) for name in changed):
            here = [name for name in changed if self._device(name, merger) == device]
            for name, tensor in merger.on(device).stream(recipe, names=here, memory=self._memory, checked="last"):
                self._installed.pop(name, None)
                self._place(name, tensor)
                written[name] = keys[name]
        # Not before: it may be known only now that they are finite.
        self._installed |= written
        return tuple(changed)

    def forget(self) -> None:
        """Makes the next installation write every tensor: for when others may have changed the weights."""
        self._installed.clear()

    def _memory(self, name: str, spec: TensorSpec) -> torch.Tensor:
        """Memory that a tensor is merged into: its place in the model, or a buffer that it is copied from."""
        self._installed.pop(name, None)
        if name not in self._places:
            self._places[name] = self._place_of(name, spec)
        place = self._places[name]
        if place is not None and place.dtype == spec.dtype and place.shape == spec.shape:
            return place
        device = self._state[self._pieces[name][0].target].device
        return self._buffers.setdefault(device, Buffer(device))(name, spec)

    def _device(self, name: str, merger: Merger) -> torch.device:
        """Where a tensor is merged: where it lies if the model is spread, else where the merger computes."""
        spread = isinstance(self._settings.device, Spread) and name in self._pieces
        return self._state[self._pieces[name][0].target].device if spread else merger.device

    def _place_of(self, name: str, spec: TensorSpec) -> torch.Tensor | None:
        """The model's own memory for a tensor, if it is one stretch."""
        pieces = self._pieces[name]
        if len(pieces) != 1 or not pieces[0].is_stretch or math.prod(pieces[0].sizes) != math.prod(spec.shape):
            return None
        return pieces[0].of_target(self._state[pieces[0].target]).view(spec.shape)

    def _place(self, name: str, tensor: torch.Tensor) -> None:
        if tensor is self._places.get(name):  # it was merged there
            return
        pieces = self._pieces[name]
        if tensor.numel() != sum(math.prod(piece.sizes) for piece in pieces):
            raise ValueError(
                f"tensor {name!r} has shape {list(tensor.shape)} in the merger's reference, but not in the model"
            )
        for piece in pieces:
            here, there = piece.of_source(tensor.contiguous()), piece.of_target(self._state[piece.target])
            if here.data_ptr() != there.data_ptr():  # else it was merged under its other name
                there.copy_(here)

    @torch.no_grad()
    def checksum(self) -> str:
        """A short fingerprint of the weights as they are now; equal weights have equal ones, in any process.

        It takes one pass over the weights and notices changed values, not elements that merely changed places.
        """
        return checksum(self._state)

    @torch.no_grad()
    def _verify(self, checkpoint: CheckpointSource) -> None:
        """Compares every element that transformers loaded with the one that would be installed there."""
        unlike = []
        for name, pieces in self._pieces.items():
            tensor = checkpoint.tensor(name)
            for piece in pieces:
                if not same_places(piece.of_target(self._state[piece.target]), piece.of_source(tensor)):
                    unlike.append(f"tensor {name!r} does not reach parameter {piece.target!r} by moving elements alone")
        unfilled = [name for name in self._unfilled() if not is_computed_weight(self.model, name)]
        unlike += [f"parameter {name!r} is not filled by any tensor of {str(checkpoint.path)!r}" for name in unfilled]
        if unlike:
            raise InputError(unlike)

    def _unfilled(self) -> list[str]:
        """Names of parameters that no tensor fills."""
        filled: dict[str, int] = dict.fromkeys(self._state, 0)
        for pieces in self._pieces.values():
            for piece in pieces:
                filled[piece.target] += math.prod(piece.sizes)
        full = [self._state[name] for name, count in filled.items() if count == self._state[name].numel()]
        places = {(tensor.device, tensor.data_ptr()) for tensor in full}
        return [name for name, one in self.model.named_parameters() if (one.device, one.data_ptr()) not in places]


def _shapes(specs: Mapping[str, TensorSpec]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(spec.shape) for name, spec in specs.items()}


def _check_loaded(checkpoint: CheckpointSource, info: Mapping[str, Any]) -> None:
    problems = missing_weights(checkpoint, sorted(info["missing_keys"]))
    problems += [f"{str(checkpoint.path)!r}: {entry} has another shape" for entry in info["mismatched_keys"]]
    problems += [str(message) for message in info.get("error_msgs") or ()]
    if problems:
        raise InputError(problems)


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    return getattr(torch, dtype) if isinstance(dtype, str) else dtype  # type: ignore[no-any-return]


def _frozen(model: PreTrainedModel) -> PreTrainedModel:
    """The model, ready to be asked and not to be trained."""
    return model.eval().requires_grad_(False)

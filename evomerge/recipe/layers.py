"""The layers of a model that is put together from layers, rather than merged layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evomerge.errors import InputError
from evomerge.recipe.groups import Place


@dataclass(frozen=True)
class Ends:
    """The sources of the tensors outside the layers, where a model is put together from layers.

    The k-th source there takes the k-th column of the coefficients, as the inputs of a layer do.

    Attributes:
        before: Positions of the sources that the tensors before the layers are merged from: embeddings, and whatever
            the first layer reads.
        after: The same for the tensors after the layers: norms and heads.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    def of(self, place: Place, name: str) -> tuple[int, ...]:
        """The sources of a tensor outside the layers."""
        return self.before if stands_before(place, name) else self.after

    def to_json(self) -> dict[str, Any]:
        """Both fields as a JSON object."""
        return {"before": list(self.before), "after": list(self.after)}


def stands_before(place: Place, name: str) -> bool:
    """Whether a tensor outside the layers stands before them. Norms of embeddings do, other norms come after."""
    return place.kind in ("embedding", "other", "tower") or (place.kind != "head" and "embed" in name.lower())


@dataclass(frozen=True)
class OutputLayer:
    """One layer of the merged model, and the layers that it is merged from.

    Its tensors are those of the input layers, under the output layer's number. The k-th input takes the k-th column of
    the coefficients, whichever source it comes from, so a source may occur several times: two layers of one model are
    merged like one layer of two models. Where the layer's group is frozen, its tensors are copies: of the base layer
    where one is named, else of the first input.

    Attributes:
        inputs: ``(source, layer)`` of each input: the source's position in the recipe, and the layer's number there.
        base: The layer of the recipe's base that deltas are taken from; None without a base.
        row: The row of coefficients, and the group, of all tensors of the layer. None leaves that to the groups, which
            see the output layer's number.
        scale: Factor on the hidden state that enters the layer (Akiba et al. 2025, doi:10.1038/s42256-024-00975-8,
            the scaling of transitions in data flow space). It is read and refused: no model of transformers has such a
            factor, so recipes of paths divide what this layer and all later ones add instead, as coefficients do.
    """

    inputs: tuple[tuple[int, int], ...]
    base: int | None = None
    row: int | None = None
    scale: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as a JSON object."""
        data: dict[str, Any] = {"inputs": [list(pair) for pair in self.inputs]}
        if self.base is not None:
            data["base"] = self.base
        if self.row is not None:
            data["row"] = self.row
        if self.scale != 1.0:
            data["scale"] = self.scale
        return data


def fused_layers(count: int, pair: tuple[int, int]) -> tuple[OutputLayer, ...]:
    """The layers of a recipe's first source, of which two become one: a model that is one layer shorter.

    The layer has the place of the first of the two, whose coefficients are the first column; all others are copies,
    with methods that give a model that is alone back. What is not to be fused, such as norms (which Liu et al. 2024,
    https://arxiv.org/abs/2406.16330, leave to the first layer), belongs to a frozen group. To fuse several layers one
    after the other, name such a recipe as the source of the next.

    Args:
        count: Number of layers of the source.
        pair: The layer that is kept, and the layer that is fused into it and then left out.

    Raises:
        InputError: If these are not two different layers of the source.
    """
    kept, gone = pair
    if kept == gone or not all(0 <= layer < count for layer in pair):
        raise InputError(f"pair: expected two different layers of 0 to {count - 1}, got {list(pair)}")
    inputs = [((0, layer), *([(0, gone)] if layer == kept else [])) for layer in range(count) if layer != gone]
    return tuple(map(OutputLayer, inputs))

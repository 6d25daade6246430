"""RegMean, with the inputs of each layer as the merged layers below it make them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import torch

from evomerge.options import Option
from evomerge.recipe import Place
from evomerge.statistics import Flow, Layers, Matrix, inputs_of, matrices, write
from evomerge.transforms._shared.averages import mean_of, places, room_for, wide_notes
from evomerge.transforms._shared.costs import (
    DOUBLE,
    FLOAT,
    averaging,
    elements,
    forward,
    held,
    logits,
    matrices_by_layer,
    stored,
    tokens,
)
from evomerge.transforms._shared.costs import matrices as shapes
from evomerge.transforms._shared.declaration import Cost, Made, Transform, Work
from evomerge.transforms._shared.regression import regression


def _make(work: Work) -> Iterator[Made]:
    reference, options = work.reference, work.options
    where = places(reference)
    layers = sorted({place.layer for place in where.values() if place.layer is not None})
    within_layers = [name for name, place in where.items() if place.layer is not None]
    merged = room_for(work, (*_outside(work, where), *within_layers))
    live = work.load()
    stack, linear = Layers(live, len(layers)), matrices(live)
    for name in _outside(work, where):
        merged[name].copy_(mean_of(work, name))
        write(live, {name: merged[name]})
    flows = [stack.begin(texts) for texts in work.texts]
    averaged: list[str] = []
    wide: list[str] = []
    for position, layer in enumerate(layers):
        work.say(f"layer {position + 1} of {len(layers)}")
        names = [name for name, place in where.items() if place.layer == layer]
        within = {name: linear[name] for name in names if name in linear and where[name].kind != "norm"}
        grams = []
        for expert, own in zip(work.experts, flows, strict=True):
            write(live, {name: expert.tensor(name) for name in names})
            grams.append(_grams(stack, position, own, within, work.gram_limit))
        for name in names:  # rounded as they are stored, which is how the layers above are to see them
            merged[name].copy_(_merge(work, name, within.get(name), grams, options["alpha"]))
        averaged += [name for name in names if name not in within and len(reference.specs[name].shape) > 1]
        wide += [name for name in within if name in grams[0] and grams[0][name].ndim == 1]
        write(live, {name: merged[name] for name in names})
        for flow in (flow for own in flows for flow in own):
            flow.hidden = stack.run(position, flow)
    yield Made("regmean_plusplus", reference, merged, notes=(*wide_notes(wide), *_notes(averaged)))


def _outside(work: Work, where: Mapping[str, Place]) -> list[str]:
    """Tensors outside the layers that are averaged: embeddings; the rest stays the base's, if there is one."""
    every = work.base is None or work.options["rest"] == "mean"
    return [name for name, place in where.items() if place.layer is None and (every or place.kind == "embedding")]


def _grams(
    stack: Layers, layer: int, flows: list[Flow], within: Mapping[str, Matrix], limit: int | None
) -> dict[str, torch.Tensor]:
    """Means over tokens of inner products of inputs, where one layer runs with the weights that it has now.

    Where there are more inputs than a limit, the diagonal alone.
    """
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = defaultdict(int)
    with inputs_of(within.values()) as seen:
        for flow in flows:
            seen.clear()
            stack.run(layer, flow)
            for name, inputs in seen.items():
                rows = inputs.float()
                own = rows.square().sum(0) if _is_wide(rows.shape[1], limit) else rows.T @ rows
                sums[name] = sums[name].add_(own) if name in sums else own
                counts[name] += len(inputs)
    return {name: total / counts[name] for name, total in sums.items()}


def _is_wide(inputs: int, limit: int | None) -> bool:
    return limit is not None and inputs > limit


def _merge(
    work: Work, name: str, matrix: Matrix | None, grams: list[dict[str, torch.Tensor]], alpha: float
) -> torch.Tensor:
    mean = mean_of(work, name)
    if matrix is None or not all(name in own for own in grams):
        return mean
    weights = [expert.tensor(name).float() for expert in work.experts]
    turned = (lambda tensor: tensor.T) if matrix.transposed else (lambda tensor: tensor)
    found = regression([turned(weight) for weight in weights], [own[name].cpu() for own in grams], alpha, turned(mean))
    return turned(found)


def _notes(averaged: list[str]) -> Iterator[str]:
    if averaged:
        yield f"{len(averaged)} matrices are no modules of their own and were averaged, such as {averaged[0]}"


def _cost(work: Work) -> Cost:
    """Texts enter the stack once, and go through each layer as each expert's and as the merged one.

    In memory are the model and hidden states of all texts; at first the logits of one, later the merged tensors, and
    matrices of one layer and its regression.
    """
    count, read, layers = len(work.experts), tokens(work), matrices_by_layer(work)
    width = max((shape[1] for layer in layers.values() for shape in layer[:1]), default=0)

    def square(inputs: int) -> int:
        return inputs if _is_wide(inputs, work.gram_limit) else inputs**2

    grams = max((sum(FLOAT * count * square(inputs) for _, inputs in layer) for layer in layers.values()), default=0)
    solving = max(
        (DOUBLE * ((count + 3) * square(inputs) + (count + 1) * rows * inputs)
         for layer in layers.values() for rows, inputs in layer),
        default=0,
    )  # fmt: skip
    operations = 3 * forward(work)
    for rows, inputs in shapes(work):
        operations += 2.0 * read * inputs**2 + 2 * ((2 * count + 2) * inputs**2 * rows + inputs**3 / 3)
    merging = stored(work) + grams + solving
    return Cost(
        3, operations, held(FLOAT * elements(work), FLOAT * read * width, max(logits(work), averaging(work), merging))
    )


TRANSFORM = Transform(
    name="regmean_plusplus",
    summary="RegMean layer by layer: inputs of a layer are those that the merged layers below it make.",
    paper="Nguyen et al. 2025, RegMean++, https://arxiv.org/abs/2508.03121",
    make=_make,
    cost=_cost,
    options={
        "alpha": Option(0.95, None, float, "factor on entries of X'X off the diagonal", low=0.0, high=1.0),
        "rest": Option("base", ("base", "mean"), str, "final norm and head: the base's, as published, or the mean"),
    },
    agrees_with="the authors' code",
)

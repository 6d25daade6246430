"""PLeaS: two experts' neurons matched and joined, then every matrix fitted to what both give of their own features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.options import Option
from evomerge.statistics import Matrix, inputs_of, matrices, write
from evomerge.transforms._shared.averages import mean_of, merged_names, places
from evomerge.transforms._shared.costs import FLOAT, elements, forward, held, logits, longest, stored, tokens
from evomerge.transforms._shared.costs import matrices as shapes
from evomerge.transforms._shared.declaration import Cost, Made, Transform, Work
from evomerge.transforms._shared.matching import assign
from evomerge.transforms._shared.partial import Blocks, LeastSquares
from evomerge.transforms._shared.units import Axes, inner, neurons

_WIDTH = "intermediate_size"
_NUMBER = 8  # bytes of a float64


@dataclass
class Joined:
    """Two experts' neurons, joined.

    Attributes:
        blocks: The pairs of each matrix, and the dimension along which its neurons lie.
        values: Each tensor with neurons.
        widths: Numbers of neurons that MLPs have.
    """

    blocks: dict[str, tuple[Blocks, int]] = field(default_factory=dict)
    values: dict[str, torch.Tensor] = field(default_factory=dict)
    widths: set[int] = field(default_factory=set)

    def add(self, work: Work, axes: Axes, ratio: float) -> None:
        """Joins the neurons of one MLP."""
        first, second = ({name: expert.tensor(name).float() for name, _ in axes} for expert in work.experts)
        similar = inner(first, second, axes, first[axes[0][0]].shape[0])
        pairs = Blocks.of(similar, assign(similar).order, ratio)
        self.widths.add(pairs.width)
        for name, axis in axes:
            self.blocks[name] = pairs, axis
            self.values[name] = pairs.join(first[name], second[name], axis)

    def sample(self, name: str, inputs: Sequence[torch.Tensor], weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Inputs and targets of a matrix, (tokens, channels), from those of both experts."""
        outputs = [one @ weight.T for one, weight in zip(inputs, weights, strict=True)]
        pairs, axis = self.blocks.get(name, (None, 0))
        given = pairs.join(inputs[0], inputs[1], 1) if pairs is not None and axis == 1 else (inputs[0] + inputs[1]) / 2
        wanted = (
            pairs.join(outputs[0], outputs[1], 1) if pairs is not None and axis == 0 else (outputs[0] + outputs[1]) / 2
        )
        return [given, wanted]


def _make(work: Work) -> Iterator[Made]:
    reference, ratio = work.reference, work.options["ratio"]
    joined = Joined()
    for axes in neurons(reference).values():
        joined.add(work, axes, ratio)
    config = _config(work, joined.widths) if ratio else {}
    values = {
        name: joined.values[name] if name in joined.values else mean_of(work, name) for name in merged_names(reference)
    }
    notes = []
    if work.options["fit"] != "none":
        fitted = _fitted(work, joined, values)
        values |= fitted
        notes.append(f"{len(fitted)} matrices were fitted by least squares")
    if config:
        notes.append(f"its MLPs have {config[_WIDTH]} neurons, so it cannot be merged with its experts")
    stored = {name: one.to(reference.specs[name].dtype).contiguous() for name, one in values.items()}
    yield Made("pleas", reference, stored, config, tuple(notes))


def _config(work: Work, widths: set[int]) -> Mapping[str, int]:
    """The config's fields that are others with wider MLPs."""
    if len(widths) != 1 or _WIDTH not in work.reference.config:
        raise InputError(
            f"ratio: MLPs would have {sorted(widths)} neurons, and config.json has no one {_WIDTH} for all of them; "
            "use ratio=0, which joins every pair"
        )
    return {_WIDTH: next(iter(widths))}


def _fitted(work: Work, joined: Joined, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The matrices of all layers, fitted; as many at a time as memory allows."""
    where = places(work.reference)
    lives = []
    for expert in work.experts:
        lives.append(work.load())
        write(lives[-1], {name: expert.tensor(name) for name in merged_names(expert)})
    linear = [matrices(live) for live in lives]
    names = [n for n, one in linear[0].items() if where[n].layer is not None and not one.transposed]
    found: dict[str, torch.Tensor] = {}
    for window in _windows(names, values, work.options["memory"]):
        work.say(f"{len(found)} of {len(names)} matrices are fitted")
        sums = {name: LeastSquares.empty(*values[name].shape) for name in window}
        for ids in (ids for texts in work.texts for ids in texts):
            seen = [_inputs(live, own, window, ids) for live, own in zip(lives, linear, strict=True)]
            for name in window:
                if all(name in one for one in seen):
                    weights = [expert.tensor(name).float() for expert in work.experts]
                    sums[name].add(*joined.sample(name, [one[name] for one in seen], weights))
        found |= {name: _solved(work, sums[name], values[name]) for name in window if sums[name].tokens}
    return found


def _windows(names: Sequence[str], values: Mapping[str, torch.Tensor], memory: int) -> Iterator[list[str]]:
    """Names in their order, so many at a time that their sums fit into memory; at least one."""
    window: list[str] = []
    left = memory
    for name in names:
        rows, columns = values[name].shape
        needed = (rows + columns) * columns * _NUMBER
        if window and needed > left:
            yield window
            window, left = [], memory
        window.append(name)
        left -= needed
    if window:
        yield window


@torch.no_grad()
def _inputs(
    live: LiveModel, linear: Mapping[str, Matrix], window: Sequence[str], ids: Sequence[int]
) -> dict[str, torch.Tensor]:
    with inputs_of([linear[name] for name in window]) as seen:
        live.model(input_ids=torch.tensor([list(ids)], device=live.model.device), use_cache=False)
        return {name: one.float().cpu() for name, one in seen.items()}


def _solved(work: Work, sums: LeastSquares, start: torch.Tensor) -> torch.Tensor:
    if work.options["fit"] == "adam":
        return sums.descended(start, steps=work.options["steps"])[0].float()
    return sums.solution(start, iterations=work.options["steps"]).values.float()


def _cost(work: Work) -> Cost:
    """Both experts read all texts once for each window of matrices, whose sums and fits are in float64.

    In memory are the joined values and, while matrices are fitted, both models and a window's sums; then the inputs of
    its matrices in each model, or what has been fitted, and where there are more windows both.
    """
    options, values = work.options, elements(work)
    wider = 1 + options["ratio"]
    matching = sum(3 * 2.0 * max(shape) * rows * inputs for shape in shapes(work) for rows, inputs in [shape])
    if options["fit"] == "none":
        return Cost(0, matching, held(wider * (FLOAT * values + stored(work))))
    sums = [int(wider * _NUMBER * (rows + inputs) * inputs) for rows, inputs in shapes(work)]
    windows = -(-sum(sums) // max(options["memory"], *sums, 1))
    fitting = sum(2.0 * inputs * (rows + inputs) * tokens(work) for rows, inputs in shapes(work))
    fitting += options["steps"] * sum(2.0 * rows * inputs**2 for rows, inputs in shapes(work))
    seen = 2 * FLOAT * longest(work) * sum(inputs for _, inputs in shapes(work)) / windows
    fitted = FLOAT * sum(rows * inputs for rows, inputs in shapes(work))
    window = min(sum(sums), max(options["memory"], *sums))
    reading, fitted = seen + logits(work), wider * fitted
    beside = max(reading, fitted) if windows == 1 else reading + fitted
    memory = held(wider * FLOAT * values, 2 * FLOAT * values, window, beside)
    return Cost(windows, matching + windows * 2 * forward(work) + 2 * fitting, memory, at_most=True)


TRANSFORM = Transform(
    name="pleas",
    summary="PLeaS: two experts' neurons matched and joined, then every matrix of a layer fitted by least squares.",
    paper="Nasery et al. 2024, PLeaS - Merging Models with Permutations and Least Squares, "
    "https://arxiv.org/abs/2407.02447",
    make=_make,
    cost=_cost,
    models=(2, 2),
    options={
        "ratio": Option(
            0.0, None, float, "share of pairs of neurons stay two; over 0 MLPs get wider", low=0.0, high=1.0
        ),
        "fit": Option("solve", ("solve", "adam", "none"), str, "solve: to the solution; adam: steps, as published"),
        "steps": Option(400, None, int, "most steps of the fit", low=1),
        "memory": Option(4_000_000_000, None, int, "most bytes of sums at a time; with less, more passes", low=1),
    },
    agrees_with="the authors' code",
)

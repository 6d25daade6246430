"""Partial merge of two models' neurons: PLeaS (Nasery et al. 2024, arXiv:2407.02447).

Pairs that match well become one neuron; of the others both stay, side by side, so the layer gets wider. Then every
matrix is fitted by least squares to what the two models' matrices give of their own features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evomerge.transforms._shared.conjugate_gradients import TOLERANCE, Solved, solve

RATE = 5e-4  # of Adam, as published
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


@dataclass(frozen=True)
class Blocks:
    """Neurons of two models: matched pairs, and those of each that stay alone.

    Attributes:
        first: The first model's neurons of the pairs.
        second: The second model's, in the same order.
        first_alone: The first model's that stay.
        second_alone: The second model's that stay.
    """

    first: torch.Tensor
    second: torch.Tensor
    first_alone: torch.Tensor
    second_alone: torch.Tensor

    @classmethod
    def of(cls, similarity: torch.Tensor, order: torch.Tensor, ratio: float) -> Blocks:
        """The best pairs of an assignment.

        Args:
            similarity: (neurons of the first, of the second), float32 as quantiles are to agree with published ones.
            order: The second model's neuron for each of the first.
            ratio: Share of the pairs that stay two neurons.
        """
        places = torch.arange(len(order))
        values = similarity.float()[places, order]
        joined = values >= torch.quantile(values, ratio)
        return cls(places[joined], order[joined], places[~joined], order[~joined])

    @property
    def width(self) -> int:
        """Number of neurons of the merged layer."""
        return len(self.first) + len(self.first_alone) + len(self.second_alone)

    def join(self, first: torch.Tensor, second: torch.Tensor, axis: int) -> torch.Tensor:
        """Means of the pairs, then what is the first model's alone, then the second's.

        Args:
            first: A tensor of the first model: weights, or features.
            second: The same of the second model.
            axis: Along which the neurons lie.
        """
        pairs = (first.index_select(axis, self.first) + second.index_select(axis, self.second)) / 2
        alone = first.index_select(axis, self.first_alone), second.index_select(axis, self.second_alone)
        return torch.cat((pairs, *alone), axis)


@dataclass
class LeastSquares:
    """Sums over tokens that a least-squares fit of a matrix needs, in float64.

    Attributes:
        gram: Inner products of inputs, (in, in).
        cross: Targets with inputs, (out, in).
        square: Sum of the squared targets.
        tokens: How many.
    """

    gram: torch.Tensor
    cross: torch.Tensor
    square: float = 0.0
    tokens: int = 0

    @classmethod
    def empty(cls, outputs: int, inputs: int) -> LeastSquares:
        """No tokens yet."""
        return cls(torch.zeros(inputs, inputs, dtype=torch.float64), torch.zeros(outputs, inputs, dtype=torch.float64))

    def add(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Counts tokens: inputs (tokens, in), and what is wanted of them (tokens, out)."""
        inputs, targets = inputs.double(), targets.double()
        self.gram += inputs.T @ inputs
        self.cross += targets.T @ inputs
        self.square += float((targets * targets).sum())
        self.tokens += len(inputs)

    def loss(self, matrix: torch.Tensor) -> float:
        """Mean squared error over tokens and outputs."""
        matrix = matrix.double()
        total = ((matrix @ self.gram) * matrix).sum() - 2.0 * (matrix * self.cross).sum() + self.square
        return float(total) / (self.tokens * len(self.cross))

    def solution(self, start: torch.Tensor, *, iterations: int, tolerance: float = TOLERANCE) -> Solved:
        """The matrix of least error that is next to a start, by conjugate gradients."""
        return solve(lambda matrix: matrix @ self.gram, self.cross, start, iterations=iterations, tolerance=tolerance)

    def descended(self, start: torch.Tensor, *, steps: int, rate: float = RATE) -> tuple[torch.Tensor, list[float]]:
        """A start after steps of Adam on all tokens, and the loss before each step, as published."""
        found = start.double().clone()
        first, second, losses = torch.zeros_like(found), torch.zeros_like(found), []
        for step in range(1, steps + 1):
            losses.append(self.loss(found))
            slope = 2.0 * (found @ self.gram - self.cross) / (self.tokens * len(self.cross))
            first = _BETAS[0] * first + (1 - _BETAS[0]) * slope
            second = _BETAS[1] * second + (1 - _BETAS[1]) * slope * slope
            mean, spread = first / (1 - _BETAS[0] ** step), second / (1 - _BETAS[1] ** step)
            found -= rate * mean / (spread.sqrt() + _EPSILON)
        return found, losses

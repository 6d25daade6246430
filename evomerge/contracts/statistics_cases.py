"""Sound statistics of a tensor for the contracts of methods and steps: what texts could have given, made up."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import torch

from evomerge.methods import Need, Statistics

__all__ = ["statistics_for"]


def statistics_for(
    needs: Sequence[Need], base: torch.Tensor | None, models: Sequence[torch.Tensor], *, texts: int = 0
) -> Statistics:
    """An array of every statistic and model, each of the right layout; see :mod:`evomerge.methods._shared.needs`.

    They follow from the values of the tensor that they are about, so that models that change places take theirs along.
    Statistics of unknown names are positive and of the tensor's shape.

    Args:
        needs: What is needed.
        base: The base's tensor.
        models: The models' tensors.
        texts: Other texts give other arrays.
    """
    found: dict[str, tuple[torch.Tensor | None, ...]] = {}
    for need in needs:
        make = _LAYOUTS.get(need.statistic, _elementwise)
        if need.of == "models" or need.count(2) == 2:  # on the texts of every model, which go with it
            about = models
        else:
            assert base is not None
            about = [base]
        found[need.key] = tuple(
            None if tensor is None else make(tuple(tensor.shape), _generator(tensor, need.key, texts))
            for tensor in about
        )
    return found


def _generator(tensor: torch.Tensor, key: str, texts: int) -> torch.Generator:
    content = tensor.detach().float().contiguous().numpy().tobytes()
    return torch.Generator().manual_seed(zlib.crc32(content, zlib.crc32(key.encode()) + texts))


def _elementwise(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Positive, over some orders of magnitude as gradients' squares are."""
    return torch.randn(shape, generator=generator).mul_(2.0).sub_(7.0).exp_()


def _gram(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
    """The mean outer product of twice as many tokens as there are channels; of a matrix alone."""
    if len(shape) != 2:
        return None
    width = shape[1]
    tokens = torch.randn(2 * width + 1, width, generator=generator) * (1.0 + torch.rand(width, generator=generator))
    return tokens.t() @ tokens / len(tokens)


def _channels(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
    """One positive number for each input channel."""
    return None if not shape else torch.rand(shape[-1], generator=generator).add_(0.1)


def _factors(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor | None:
    """One factor for each input column."""
    return None if not shape else torch.rand(shape[-1], generator=generator).mul_(0.6).add_(0.1)


_LAYOUTS: dict[str, Callable[[tuple[int, ...], torch.Generator], torch.Tensor | None]] = {
    "gram": _gram,
    "output_gram": lambda shape, generator: _gram(tuple(reversed(shape)), generator),
    "channel_abs": _channels,
    "dam": _factors,
}

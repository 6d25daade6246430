"""Whether the fused kernels are to be had, and what they take."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import torch

from evomerge.kernels import reference
from evomerge.kernels.masks import BernoulliMask, Mask, RankWindow, Threshold, Window
from evomerge.kernels.operands import Mixture, Part, Variance

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def kernels() -> Any:
    """The bindings; Triton is imported when they are asked for first."""
    return importlib.import_module("evomerge.kernels.fused.bindings")


@functools.cache
def unusable() -> str | None:
    """Why there are no fused kernels, for people; None if a trial on the GPU went well."""
    if not torch.cuda.is_available():
        return "there is no CUDA GPU"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    try:
        if not trial("cuda"):
            return "Triton's kernels do not compute what they should"
    except Exception as error:  # whatever compilers and drivers raise: torch goes on serving
        return f"Triton cannot be used here: {type(error).__name__}: {error}".splitlines()[0]
    return None


def trial(device: torch.device | str) -> bool:
    """Whether the kernels compute what the reference does, of a small mixture that takes most of their steps."""
    base = torch.linspace(-1, 1, 64, dtype=torch.bfloat16).to(device)
    models = [base * factor for factor in (0.5, 1.5, -1.0)]
    ranks = torch.arange(64).to(torch.uint16).to(device)
    masks: list[Mask] = [
        Window(Threshold(0x3E800000, 40)),
        BernoulliMask(1, 0.2, 0.01, ranks, True),
        RankWindow(ranks, 8, 60),
    ]
    parts = [Part(model, 0.7, 0.7, 0.7, mask, 1.1) for model, mask in zip(models, masks, strict=True)]
    mixture = Mixture(base, parts, scale=0.9, elect=True, divide=True)
    got, wanted = torch.empty_like(base), torch.empty_like(base)
    sound = bool(kernels().mix(mixture, got).finite)
    reference.mix(mixture, wanted)
    broken = bool(kernels().finite_flag(torch.full((64,), torch.inf, device=device)))
    return sound and not broken and torch.equal(got, wanted)


def takes(*tensors: torch.Tensor) -> bool:
    """Whether the kernels take these tensors, where they are to be had."""
    device = tensors[0].device
    return device.type == "cuda" and all(t.dtype in DTYPES and t.device == device for t in tensors)


def takes_mixture(mixture: Mixture) -> bool:
    """Whether the kernels take a mixture of such tensors.

    Any that selects by nothing, or by a variance, and trims nothing of what is kept at random.
    """
    trims = any(isinstance(own.mask, BernoulliMask) and own.mask.window is not None for own in mixture.parts)
    return not trims and (mixture.select is None or isinstance(mixture.select.values, Variance))

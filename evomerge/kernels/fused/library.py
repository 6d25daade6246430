"""Whether the fused kernels are to be had, and what they take."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import torch

from evomerge.kernels.operands import Mixture, Variance

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def kernels() -> Any:
    """The bindings; Triton is imported when they are asked for first."""
    return importlib.import_module("evomerge.kernels.fused.bindings")


@functools.cache
def unusable() -> str | None:
    """Why there are no fused kernels, for people; None if a trial of the smallest one on the GPU went well."""
    if not torch.cuda.is_available():
        return "there is no CUDA GPU"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    try:
        trial = torch.tensor([0.0, torch.inf], device="cuda")
        if not bool(kernels().finite_flag(trial[:1])) or bool(kernels().finite_flag(trial)):
            return "Triton's kernels do not compute what they should"
    except Exception as error:  # whatever compilers and drivers raise: torch goes on serving
        return f"Triton cannot be used here: {type(error).__name__}: {error}".splitlines()[0]
    return None


def takes(*tensors: torch.Tensor) -> bool:
    """Whether the kernels take these tensors, where they are to be had."""
    device = tensors[0].device
    return device.type == "cuda" and all(t.dtype in DTYPES and t.device == device for t in tensors)


def takes_mixture(mixture: Mixture) -> bool:
    """Whether the kernels take a mixture of such tensors: any that selects by nothing, or by a variance."""
    return mixture.select is None or isinstance(mixture.select.values, Variance)

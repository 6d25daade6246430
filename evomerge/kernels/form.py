"""Form of the kernels in use: native on the CPU, fused on a CUDA GPU, each where it is there, else torch."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from evomerge.errors import InputError
from evomerge.kernels import fused
from evomerge.kernels.native import library

VARIABLE = "EVOMERGE_KERNELS"


@dataclass(frozen=True)
class Kernels:
    """Form of the kernels that merges tensors.

    Attributes:
        name: ``native`` (compiled, on the CPU), ``fused`` (Triton, on a CUDA GPU) or ``torch``.
        reason: Why, as a sentence for people.
    """

    name: str
    reason: str


def uses_native() -> bool:
    """Whether native kernels take the tensors that they can take."""
    return not _torch_only.get() and _on_cpu().name == "native"


def uses_fused() -> bool:
    """Whether fused kernels take the tensors that they can take."""
    return not _torch_only.get() and _on_gpu().name == "fused"


def in_use(device: str = "cpu") -> Kernels:
    """The form of the kernels that merges tensors on a device, and why; see :func:`choose`."""
    return _on_gpu() if device.startswith("cuda") else _on_cpu()


@functools.cache
def _on_cpu() -> Kernels:
    return choose(os.environ.get(VARIABLE, ""), library.load)


@functools.cache
def _on_gpu() -> Kernels:
    if os.environ.get(VARIABLE) == "torch":
        return Kernels("torch", f"{VARIABLE}=torch asks for it")
    if reason := fused.unusable():
        return Kernels("torch", f"merging is slower than it could be: {reason}")
    return Kernels("fused", "one Triton kernel for each tensor")


def choose(wanted: str, load: Callable[[], library.Library]) -> Kernels:
    """Chooses the form of the kernels.

    Args:
        wanted: Value of the environment variable: ``native``, ``torch``, or nothing for the faster that there is.
        load: Loads the native library.

    Raises:
        InputError: If the variable has another value, or asks for a library that cannot be loaded.
    """
    if wanted not in ("", "native", "torch"):
        raise InputError(f"the environment variable {VARIABLE} is {wanted!r}; set it to native or torch, or not at all")
    if wanted == "torch":
        return Kernels("torch", f"{VARIABLE}=torch asks for it")
    try:
        return Kernels("native", f"compiled by {load().compiler}")
    except (OSError, subprocess.SubprocessError) as error:
        if wanted == "native":
            raise InputError(f"{VARIABLE}=native, but {library.explain(error)}") from None
        return Kernels("torch", f"merging is slower than it could be: {library.explain(error)}")


@contextlib.contextmanager
def torch_only() -> Iterator[None]:
    """Within it torch computes everything, as where there is no compiler; to compare the two forms."""
    before = _torch_only.set(True)
    try:
        yield
    finally:
        _torch_only.reset(before)


_torch_only: ContextVar[bool] = ContextVar("torch_only", default=False)

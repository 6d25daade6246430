"""Merged tensors are finite, or their model is not scored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from evomerge.kernels import Finite


class NonFinite(ArithmeticError):
    """A merged tensor holds NaN or infinity.

    Args:
        name: The tensor.
        dtype: The type that it was rounded to.

    Attributes:
        name: The tensor.
    """

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        self.name = name
        kind = str(dtype).removeprefix("torch.")
        super().__init__(f"the merged tensor {name!r} holds NaN or infinity (in {kind})")


class Unread:
    """Tensors of which nobody has asked yet whether they are finite."""

    def __init__(self) -> None:
        self._errors: list[NonFinite] = []
        self._flags: list[Finite] = []

    def add(self, error: NonFinite, finite: Finite) -> None:
        """Adds a tensor; what is known, rather than to be read from a device, is checked."""
        if finite is not True:
            self._errors.append(error)
            self._flags.append(finite)
        if finite is False:
            self.check()

    @contextmanager
    def first(self) -> Iterator[None]:
        """Lets an error wait until the tensors before it are checked."""
        try:
            yield
        except Exception:
            self.check()
            raise

    def check(self) -> None:
        """Raises the error of the first tensor that is not finite."""
        errors, flags, self._errors, self._flags = self._errors, self._flags, [], []
        if not flags:
            return
        there = [flag for flag in flags if isinstance(flag, torch.Tensor)]
        read = iter(torch.stack(there).tolist() if len(there) > 1 else map(bool, there))
        for error, flag in zip(errors, flags, strict=True):
            if not (next(read) if isinstance(flag, torch.Tensor) else flag):
                raise error

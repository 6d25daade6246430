"""Versions of the libraries that proposals and scores depend on."""

from __future__ import annotations

import contextlib
import functools
from importlib.metadata import PackageNotFoundError, version

__all__ = ["library_versions"]

_LIBRARIES = ("torch", "transformers", "lm-eval", "pymoo", "cma", "numpy", "safetensors", "datasets", "hydra-core")


def library_versions(further: str | None = None) -> dict[str, str]:
    """Version by library, as installed here.

    Args:
        further: A library that evomerge does not require, as a searcher's; left out where no package has its name.
    """
    found = {name: _installed(name) for name in _LIBRARIES}
    if further is not None:
        with contextlib.suppress(PackageNotFoundError):
            found[further] = _installed(further)
    return found


@functools.cache
def _installed(name: str) -> str:
    """The version of a package, which this process has imported or would import: it stays while the process lives."""
    return version(name)

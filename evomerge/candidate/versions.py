"""Versions of the libraries that proposals and scores depend on."""

from __future__ import annotations

from importlib.metadata import version

__all__ = ["library_versions"]

_LIBRARIES = ("torch", "transformers", "lm-eval", "pymoo", "cma", "numpy", "safetensors", "datasets", "hydra-core")


def library_versions() -> dict[str, str]:
    """Version by library, as installed here."""
    return {name: version(name) for name in _LIBRARIES}

"""The tiny families that merging is tested on."""

from tests.merging.conftest import family

__all__ = ["family"]

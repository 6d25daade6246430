"""Transformations: experts in, one more ordinary model out, which then joins a search as a further expert.

The folder is the registry: a file's name is its transformation's name. A transformation is a :class:`Transform` called
``TRANSFORM`` in a file of its own; ``_shared`` holds their mathematics as functions of tensors. What they need to know
of activations and gradients comes from the room of statistics; who writes the folders is not their business.
"""

from evomerge.transforms._shared.declaration import Arrays, Cost, Made, Transform, Work
from evomerge.transforms._shared.registry import load, names

__all__ = ["Arrays", "Cost", "Made", "Transform", "Work", "load", "names"]

"""The mathematics of merging one tensor. The folder is the registry: a file's name is its method's name.

A method is a :class:`MergeMethod` called ``METHOD`` in a file of its own; files with a leading underscore are shared
parts. Adding ``evomerge/methods/mymethod.py`` is all it takes: :func:`load` finds it, the search space follows from the
coefficients it declares, and the contract tests run on it. A plain function of whole tensors is enough for that, see
:func:`whole_tensor`.
"""

from __future__ import annotations

from evomerge.methods._declaration import (
    MergeMethod,
    Option,
    Sources,
    TensorContext,
    whole_tensor,
)
from evomerge.registry import Registry

__all__ = ["MergeMethod", "Option", "Sources", "TensorContext", "load", "names", "whole_tensor"]

_REGISTRY = Registry[MergeMethod](__name__, __path__, "METHOD", "merge method")
names = _REGISTRY.names
load = _REGISTRY.load

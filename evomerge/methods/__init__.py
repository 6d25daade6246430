"""The mathematics of merging one tensor. The folder is the registry: a file's name is its method's name.

A method is a :class:`MergeMethod` called ``METHOD`` in a file of its own; ``_shared`` holds what they share. A new one
is the file ``evomerge/methods/mymethod.py``: :func:`load` finds it, the search space follows from the coefficients it
declares, and the contract tests run on it. A plain function of whole tensors is enough, see :func:`whole_tensor`.
"""

from __future__ import annotations

from evomerge.methods._shared.coefficient_problems import coefficient_problems
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Coefficients, TensorContext, TensorSet, TensorSources
from evomerge.methods._shared.mergekit import MergekitParameters
from evomerge.methods._shared.needs import Need, Statistics
from evomerge.methods._shared.whole_tensor import whole_tensor
from evomerge.options import Option
from evomerge.registry import Registry

__all__ = [
    "Coefficients",
    "MergeMethod",
    "MergekitParameters",
    "Need",
    "Option",
    "Statistics",
    "TensorContext",
    "TensorSet",
    "TensorSources",
    "coefficient_problems",
    "load",
    "names",
    "whole_tensor",
]

_REGISTRY = Registry[MergeMethod](__name__, __path__, "METHOD", "merge method")
names = _REGISTRY.names
load = _REGISTRY.load

"""The mathematics of merging one tensor. The folder is the registry: a file's name is its method's name.

A method is a :class:`MergeMethod` called ``METHOD`` in a file of its own; ``_shared`` holds what they share. A new one
is the file ``evomerge/methods/mymethod.py``: :func:`load` finds it, the search space follows from the coefficients it
declares, and the contract tests run on it. A plain function of whole tensors is enough, see :func:`whole_tensor`.
"""

from __future__ import annotations

import importlib
import pkgutil

from evomerge.errors import InputError, suggest
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import TensorContext, TensorSources
from evomerge.methods._shared.options import Option
from evomerge.methods._shared.whole_tensor import whole_tensor

__all__ = ["MergeMethod", "Option", "TensorContext", "TensorSources", "load", "names", "whole_tensor"]


def names() -> tuple[str, ...]:
    """The names of all methods, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def load(name: str) -> MergeMethod:
    """Imports a method.

    Args:
        name: Its name, which is its file's name.

    Raises:
        InputError: If there is no method of that name.
    """
    known = names()
    if name not in known:
        raise InputError(f"there is no merge method {name!r}{suggest(name, known)} (known are {', '.join(known)})")
    method: MergeMethod = importlib.import_module(f"{__name__}.{name}").METHOD
    if method.name != name:
        raise ValueError(f"the method in {name}.py calls itself {method.name!r}; a method is named after its file")
    return method

"""The table of cases that look at data: name to what evomerge computes for it. Every file here has some, ``CASES``.

An entry takes a :class:`DataFamily` and gives the tensors that the case expects, under their names. Nothing in it
depends on shapes, seeds or the number of experts: settings are read from the case. Those that nothing here computes are
in ``WITHOUT``, with the reason.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.golden.data_table.case import Compute
from tests.golden.data_table.without import WITHOUT

__all__ = ["CASES", "WITHOUT"]


def _all() -> dict[str, Compute]:
    found: dict[str, Compute] = {}
    for module in pkgutil.iter_modules(__path__):
        own: dict[str, Compute] = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CASES", {})
        assert not own.keys() & found.keys()
        found |= own
    return found


CASES = _all()

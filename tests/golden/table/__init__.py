"""The table of cases: name to what evomerge computes for it. Every file here has some of them, ``CASES``.

Those that nothing here computes are in ``WITHOUT``, with the reason.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.golden.table.case import Compute
from tests.golden.table.without import WITHOUT

__all__ = ["CASES", "WITHOUT"]


def _all() -> dict[str, Compute]:
    found: dict[str, Compute] = {}
    for module in pkgutil.iter_modules(__path__):
        own: dict[str, Compute] = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CASES", {})
        assert not own.keys() & found.keys()
        found |= own
    return found


CASES = _all()

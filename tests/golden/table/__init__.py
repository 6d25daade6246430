"""The table of cases: name to what evomerge computes for it. Every file here has some of them, ``CASES``."""

from __future__ import annotations

import importlib
import pkgutil

from tests.golden.table.case import Compute

__all__ = ["CASES"]


def _all() -> dict[str, Compute]:
    found: dict[str, Compute] = {}
    for module in pkgutil.iter_modules(__path__):
        own: dict[str, Compute] = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CASES", {})
        assert not own.keys() & found.keys()
        found |= own
    return found


CASES = _all()

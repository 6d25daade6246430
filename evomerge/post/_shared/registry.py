"""The registry of steps: the files of the folder above."""

from __future__ import annotations

import importlib

from evomerge.post._shared.declaration import PostProcess
from evomerge.registry import Registry

_ROOM = "evomerge.post"
_REGISTRY = Registry[PostProcess](_ROOM, importlib.import_module(_ROOM).__path__, "STEP", "step after the merge")
names = _REGISTRY.names
load = _REGISTRY.load

"""The registry of transformations: the files of the folder above this one."""

from pathlib import Path

from evomerge.registry import Registry
from evomerge.transforms._shared.declaration import Transform

_FOLDER = Path(__file__).parents[1]
_REGISTRY = Registry[Transform]("evomerge.transforms", [str(_FOLDER)], "TRANSFORM", "transform")
names = _REGISTRY.names
load = _REGISTRY.load

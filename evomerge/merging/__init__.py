"""From a recipe and its checkpoints to merged tensors, in a live model or in a folder.

There is one merge loop, :meth:`Merger.stream`. A live model gives it memory of its own to merge into, thousands of
times in a search, and an export writes its stream once, so what was scored is what is exported.
"""

from evomerge.merging.blueprint import Blueprint
from evomerge.merging.buffers import Buffer
from evomerge.merging.checkpoints import Checkpoints, matching_of
from evomerge.merging.companions import companions, write_companions
from evomerge.merging.finiteness import NonFinite
from evomerge.merging.folder import merge_to_folder
from evomerge.merging.footprint import Footprint, footprint
from evomerge.merging.live import LiveModel, ModelSettings
from evomerge.merging.loop import Merger
from evomerge.merging.new_model import NewModel, model_to_folder
from evomerge.merging.plan.account import Entry
from evomerge.merging.plan.outputs import Outputs, needs_of
from evomerge.merging.plan.statistics import StatisticsSource
from evomerge.merging.prepared import PreparedSettings, seconds_per_byte
from evomerge.merging.spread import Spread, shares
from evomerge.merging.weight_cache import WeightCache
from evomerge.merging.weight_map import Piece, weight_map

__all__ = [
    "Blueprint",
    "Buffer",
    "Checkpoints",
    "Entry",
    "Footprint",
    "LiveModel",
    "Merger",
    "ModelSettings",
    "NewModel",
    "NonFinite",
    "Outputs",
    "Piece",
    "PreparedSettings",
    "Spread",
    "StatisticsSource",
    "WeightCache",
    "companions",
    "footprint",
    "matching_of",
    "merge_to_folder",
    "model_to_folder",
    "needs_of",
    "seconds_per_byte",
    "shares",
    "weight_map",
    "write_companions",
]

"""Several runs of one search: what they attain, how far they spread, and which settings matter."""

from evomerge.analysis.sweeps.attainment import LEVELS, attainment_surface
from evomerge.analysis.sweeps.importance import Effect, Importance, importance
from evomerge.analysis.sweeps.spread import Spread, paired_by, spread

__all__ = [
    "LEVELS",
    "Effect",
    "Importance",
    "Spread",
    "attainment_surface",
    "importance",
    "paired_by",
    "spread",
]

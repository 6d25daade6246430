"""Fronts as a whole, and one member of them: an indicator of quality, and members by what a person prefers."""

from evomerge.analysis.fronts.preference import by_reference, by_weights
from evomerge.analysis.fronts.r2 import r2, uniform_weights

__all__ = ["by_reference", "by_weights", "r2", "uniform_weights"]

"""Steps after the merge at work: merged deltas, and what steps have to know of the whole model."""

from evomerge.merging.stepping.deltas import Merged
from evomerge.merging.stepping.stepping import Stepping

__all__ = ["Merged", "Stepping"]

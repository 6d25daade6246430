"""Policies: which items a batch is asked. The folder is the registry, a file's name its policy's name.

A new policy is one file, ``evomerge/search/allocation/policies/mypolicy.py``, with ``POLICY = PolicySpec(...)``: a pure
function from the answers to the items of a task (`TaskAnswers`: an array of candidates and items, with gaps) to the
items of the next batch with their inclusion probabilities. ``allocation.policy=mypolicy`` takes it, and
``tests/contracts`` runs the contract of policies on it.
"""

from __future__ import annotations

from evomerge.registry import Registry
from evomerge.search.allocation.policies._shared.spec import PolicySpec

__all__ = ["PolicySpec", "load", "names"]

_REGISTRY = Registry[PolicySpec](__name__, __path__, "POLICY", "policy")
names = _REGISTRY.names
load = _REGISTRY.load

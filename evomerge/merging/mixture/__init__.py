"""Mixtures of experts made of dense models, and mixtures with fewer experts made of larger ones.

Both are sources of tensors that are made when they are asked for, so that one writer (`folder`) makes a model folder of
either. What transformers calls the parts of such a model, and where its config says how many experts there are, is in
`families`: that cannot be read off a dense checkpoint.
"""

from evomerge.merging.mixture.built import BuiltMixture
from evomerge.merging.mixture.condensed import CondensedMixture, Grouping, gate_names
from evomerge.merging.mixture.families import FAMILIES, MixtureFamily, family_for, family_of
from evomerge.merging.mixture.folder import copy_recipe, write_source
from evomerge.merging.mixture.forms import one_by_one, stored_gate
from evomerge.merging.mixture.gates import (
    ExpertPrompts,
    Rows,
    States,
    random_rows,
    rows_from_embeddings,
    rows_from_states,
    uniform_rows,
)

__all__ = [
    "FAMILIES",
    "BuiltMixture",
    "CondensedMixture",
    "ExpertPrompts",
    "Grouping",
    "MixtureFamily",
    "Rows",
    "States",
    "copy_recipe",
    "family_for",
    "family_of",
    "gate_names",
    "one_by_one",
    "random_rows",
    "rows_from_embeddings",
    "rows_from_states",
    "stored_gate",
    "uniform_rows",
    "write_source",
]

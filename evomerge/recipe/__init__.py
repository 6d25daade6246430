"""The recipe: everything needed to build one merged model, and nothing about how it was found.

Search ends at a recipe and merging begins at one; neither side knows the other. A recipe is an immutable value with a
canonical JSON form and a digest, so that two runs that mean the same model say the same digest.

Three words for what is merged: the *sources* of a recipe are the checkpoints, adapters and recipes that it names. The
*models* are the user's list of checkpoints, which become a search's sources, and in the mathematics of a method the
tensors of the sources, the base's apart. An *expert* is one of the user's models by itself, a baseline to compare with.
"""

from evomerge.recipe.chat_templates import CHAT_TEMPLATES
from evomerge.recipe.coefficient import Coefficient
from evomerge.recipe.finishing import EMBEDDINGS, TOKENIZERS, UNMATCHED, PostStep, Tokenizer
from evomerge.recipe.groups import (
    DEFAULT_LAYER_PATTERN,
    DEFAULT_PATTERNS,
    MODULE_KINDS,
    Group,
    ParameterGroups,
    Place,
    UnknownTensorName,
    count_layers,
    layer_of,
)
from evomerge.recipe.layers import Ends, OutputLayer, fused_layers, stands_before
from evomerge.recipe.numbers import Cell, Number, numbers_of, source_labels
from evomerge.recipe.patterns import patterns_of
from evomerge.recipe.recipe import FORMAT, Recipe, Source
from evomerge.recipe.sources import AdapterRef, CheckpointRef, ModelRef, short_name
from evomerge.recipe.values import step_labels, values_of, with_values, without_values

__all__ = [
    "CHAT_TEMPLATES",
    "DEFAULT_LAYER_PATTERN",
    "DEFAULT_PATTERNS",
    "EMBEDDINGS",
    "FORMAT",
    "MODULE_KINDS",
    "TOKENIZERS",
    "UNMATCHED",
    "AdapterRef",
    "Cell",
    "CheckpointRef",
    "Coefficient",
    "Ends",
    "Group",
    "ModelRef",
    "Number",
    "OutputLayer",
    "ParameterGroups",
    "Place",
    "PostStep",
    "Recipe",
    "Source",
    "Tokenizer",
    "UnknownTensorName",
    "count_layers",
    "fused_layers",
    "layer_of",
    "numbers_of",
    "patterns_of",
    "short_name",
    "source_labels",
    "stands_before",
    "step_labels",
    "values_of",
    "with_values",
    "without_values",
]

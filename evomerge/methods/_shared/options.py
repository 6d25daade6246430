"""Options that several methods share: choices between variants.

The methods on deltas are points of one product: which elements of a delta are kept, how kept elements are rescaled, how
the sign of an element is elected, and what the sum of the agreeing elements is divided by. Publications and mergekit
are other points of the same product; the docstring of each method names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from evomerge.options import Option

SCOPE = Option(
    "tensor",
    ("tensor", "global"),
    str,
    "what density is a fraction of: every tensor by itself, or the whole model, with one threshold per model",
)
KEPT = Option(
    "exact",
    ("exact", "threshold", "equals"),
    str,
    "exact: density * elements of them, the first of equal ones; equals: those and all that equal the smallest of them;"
    " threshold: all from the next smaller one up",
)
ROUNDING = Option(
    "down",
    ("down", "up"),
    str,
    "which whole number density * elements becomes; up is what remains where int((1 - density) * elements) are dropped",
    later=True,
)
RESCALE = Option(
    "none",
    ("none", "inverse", "l1"),
    str,
    "kept elements are divided by density (inverse) or scaled to the sum of absolute values before (l1)",
)
RESCALE_OWN = replace(
    RESCALE,
    default="own",
    choices=("own", "none", "inverse", "l1"),
    doc="kept elements are divided by their own probability (own), or as in other methods: by density (inverse), scaled"
    " to the sum of absolute values before (l1), or left (none)",
)
VOTES = Option(
    "weighted",
    ("weighted", "plain"),
    str,
    "whether the sign of an element is elected by weighted or by plain deltas; experts of weight 0 never vote",
)
TIE = Option(
    "positive",
    ("positive", "majority", "majority_or_minus", "drop"),
    str,
    "sign elected where the votes cancel: plus, that of most other elements (where as many are plus as minus, none or "
    "minus), or none (the element stays the base's)",
)
TIE_SIGNS: Mapping[str, float | None] = {"positive": 1.0, "drop": 0.0, "majority": None, "majority_or_minus": None}
"""The sign that each choice of ``tie`` elects; None has to be counted."""
NORMALISE = Option(
    "weight",
    ("weight", "count", "none"),
    str,
    "what the sum over (agreeing) models is divided by: their weights, their number, or nothing",
)

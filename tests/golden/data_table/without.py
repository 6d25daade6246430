"""The cases that look at data and that nothing here computes, with the reason."""

from __future__ import annotations

_INFERENCE = "a system of inference: weights are merged anew for every text by a router, so there is no checkpoint"

WITHOUT: dict[str, str] = {
    "meo_sequence_k1": _INFERENCE,
    "meo_sequence_k2": _INFERENCE,
    "meo_sequence_k4": _INFERENCE,
    "mka_similarity": "a similarity by the chance of ties, of the first tokens of one text; layers are compared by "
    "block influence or CKA instead, and fusions given their ratios are mka_fusion",
    "wemoe_router2": _INFERENCE,
}

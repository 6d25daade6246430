"""The cases that look at data and that nothing here computes, with the reason."""

from __future__ import annotations

WITHOUT: dict[str, str] = {
    "mka_similarity": "a similarity by the chance of ties, of the first tokens of one text; layers are compared by "
    "block influence or CKA instead, and fusions given their ratios are mka_fusion",
}

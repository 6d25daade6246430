"""Drafts: answers of earlier candidates to an item, for a later one to verify instead of writing them anew.

A candidate is seldom far from those before it, so much of what it will write has been written already. Speculative
decoding (Leviathan et al. 2023, arXiv:2211.17192) with these answers in place of a draft model's changes no answer but
where numbers are rounded.
"""

from __future__ import annotations

from collections.abc import Mapping

# Item to token ids of the last answers that earlier candidates gave to it, the oldest first. One that several gave is
# there as often: how many agree says how likely the next candidate is to follow.
Drafts = Mapping[str, tuple[tuple[int, ...], ...]]

DRAFTS_KEPT = 16  # most answers of an item that are kept, the last ones

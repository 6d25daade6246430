"""Cases that no recipe gives, and why: methods that have to look at data, of which no recipe says anything yet."""

from __future__ import annotations

from collections.abc import Mapping

WITHOUT: Mapping[str, str] = {
    "regmean_given_a09": "RegMean looks at data: inner products of every matrix's inputs on each model's own texts",
}
"""Name of the case to the reason, one clause."""

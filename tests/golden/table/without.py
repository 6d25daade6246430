"""Cases that no recipe gives, and why: methods that have to look at data, of which no recipe says anything yet."""

from __future__ import annotations

from collections.abc import Mapping

WITHOUT: Mapping[str, str] = {
    "aim_ta04_omega04": "AIM looks at data: the base's activations on calibration texts, channel by channel",
    "regmean_given_a09": "RegMean looks at data: inner products of every matrix's inputs on each model's own texts",
}
"""Name of the case to the reason, one clause."""

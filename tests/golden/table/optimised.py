"""Methods that optimise on the weights."""

from __future__ import annotations

import math

from tests.golden.table.case import Compute, Merge

EVERYTHING = {"matrices": "all", "rest": "mean"}
ADAM = {"optimiser": "adam", "learning_rate": 1e-5, "start": "sum"}
T10, T50, T300 = math.log10(10), math.log10(50), math.log10(300)
TIKHONOV = {"log_t": T50, "power": 2.0, "alpha": 0.05, "ratio": 0.7}
MEAN = 1 / 3

CASES: dict[str, Compute] = {
    "wudi_official_iter300": Merge("wudi"),
    "optmerge_wudi2_s1": Merge("optmerge"),
    "optmerge_wudi2_s03_noexclude": Merge("optmerge", {"lambda": 0.3}, EVERYTHING),
    "optmerge_internvl_wudi2_s1": Merge("optmerge", options={"target": "centred", **ADAM}),
    "swudi_t10_full": Merge("swudi", {"log_t": T10, "ratio": 1.0}, EVERYTHING),
    "swudi_t300_r065": Merge("swudi", {"log_t": T300, "ratio": 0.65}, EVERYTHING),
    "swudi_t300_r085_mean": Merge("swudi", {"log_t": T300, "ratio": 0.85, "start": MEAN}, EVERYTHING),
    "swudi_t50_g2_tik005_r07": Merge("swudi", TIKHONOV, EVERYTHING),
    "aswudi_participation_sqrt": Merge("aswudi", {}, {"rank": "participation_sqrt", **EVERYTHING}),
    "aswudi_gavish_donoho": Merge("aswudi", {}, {"rank": "gavish_donoho", **EVERYTHING}),
    "iwudi_landweber_n150_eta09": Merge("iwudi", {"steps": 150, "eta": 0.9}, {"filter": "landweber", **EVERYTHING}),
    "doge_ta_default": Merge("doge"),
    "iwudi_tikhonov_a001": Merge("iwudi", {"alpha": 0.01}, {"filter": "tikhonov", **EVERYTHING}),
}

"""PCB-Merging: the scripts of its authors."""

from __future__ import annotations

from tests.golden.table.case import Compute, Family, Merge, Tensors

SHORT = {"scope": "global", "quantile": "exact"}
LANGUAGE = SHORT | {"clamp": 0.01}
VISION = LANGUAGE | {"agreement": "scaled"}
SEARCHED = LANGUAGE | {"agreement": "pairs"}


def searched(family: Family) -> Tensors:
    """With the weights of the case, which a search gave."""
    return Merge("pcb", {"ratio": 0.2, "weight": family.settings["lams"]}, SEARCHED)(family)


CASES: dict[str, Compute] = {
    "pcb_short_r01": Merge("pcb", {"ratio": 0.1}, SHORT),
    "pcb_short_r005_lam12": Merge("pcb", {"ratio": 0.05, "weight": 1.2}, SHORT),
    "pcb_nlp_r01": Merge("pcb", {"ratio": 0.1}, LANGUAGE),
    "pcb_vision_script_r005_lam12": Merge("pcb", {"ratio": 0.05, "weight": 1.2}, VISION),
    "pcb_vision_es_r005_lam12": Merge("pcb", {"ratio": 0.05, "weight": 1.2}, SEARCHED),
    "pcb_vision_es_r02_lams": searched,
}

"""Methods that mergekit has too, with the options that make them those of their authors' code."""

from __future__ import annotations

from tests.golden.table.case import Compute, Merge

TIES = {"scope": "global", "kept": "threshold", "votes": "plain", "tie": "majority_or_minus", "normalise": "count"}
# MergeLM and MergeLLM are given the fraction that is dropped.
MERGELM = TIES | {"rounding": "up", "tie": "majority"}
STAR = TIES | {"kept": "equals", "tie": "drop"}

CASES: dict[str, Compute] = {
    "ties_k20_lam1": Merge("ties", {"density": 0.2}, TIES),
    "ties_k20_lam1_edge": Merge("ties", {"density": 0.2}, TIES),
    "ties_k50_lam07": Merge("ties", {"density": 0.5, "lambda": 0.7}, TIES),
    "ties_k60_lam1_edge": Merge("ties", {"density": 0.6}, TIES),
    "ties_k20_dissum_lam04": Merge("ties", {"density": 0.2, "lambda": 0.4}, TIES | {"normalise": "none"}),
    "mergelm_ties_m08_s1": Merge("ties", {"density": 1 - 0.8}, MERGELM),
    "mergelm_ties_m08_s1_edge": Merge("ties", {"density": 1 - 0.8}, MERGELM),
    "mergellm_ties_m08_s1": Merge("ties", {"density": 1 - 0.8}, MERGELM | {"scope": "tensor"}),
    "star_repo_ties_global_k20": Merge("ties", {"density": 0.2}, STAR),
    "star_repo_ties_global_k20_edge": Merge("ties", {"density": 0.2}, STAR),
    "breadcrumbs_b015_g0006_a02": Merge("breadcrumbs", {"density": 0.15, "gamma": 0.006, "weight": 0.2}),
    "breadcrumbs_b04_g015_a05": Merge("breadcrumbs", {"density": 0.4, "gamma": 0.15, "weight": 0.5}),
    "sce_topk01": Merge("sce", {"select_topk": 0.1}),
    "sce_topk05": Merge("sce", {"select_topk": 0.5}),
    "sce_topk1": Merge("sce", {"select_topk": 1.0}),
    "sce_topk1_edge": Merge("sce", {"select_topk": 1.0}),
    "thirdparty_mergellm_model_stock": Merge("model_stock"),
    "thirdparty_fusion_bench_model_stock": Merge("model_stock", options={"mean": "angles", "least": 1e-8}),
    "thirdparty_mergellm_slerp_t03": Merge("slerp", {"t": 0.3}, sources=("expert0", "expert1"), base=None),
}

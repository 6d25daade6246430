"""Methods on the singular values of deltas."""

from tests.golden.table.case import Compute, Merge

CASES: dict[str, Compute] = {
    "star_eta40": Merge("star", {"eta": 0.4}, {"stored": "float32"}),
    "star_eta70": Merge("star", {"eta": 0.7}, {"stored": "float32"}),
    "iso_c_a1": Merge("iso_c"),
    "iso_cts_f05_a13": Merge("iso_cts", {"lambda": 1.3}, {"fraction": 0.5}),
    "iso_cts_f08_a1": Merge("iso_cts"),
    "tsvm_a1": Merge("tsvm"),
    "tsvm_lossless_a1": Merge("tsvm", options={"keep": "all"}),
}

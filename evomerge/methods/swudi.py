"""SWUDI: the early-stopped descent of WUDI in closed form, along the strongest directions alone.

WUDI's objective is a quadratic, so that where its descent has got to at a time t has a closed form: along an
eigenvector of the curvature with the eigenvalue L the share ``1 - exp(-L t)`` of the way from the start to the optimum.
Only the largest eigenvalues are followed, a fraction ``ratio``; along the other directions the start is kept.

============  =================================  ==============================================
              Wei et al. 2025, their newer code  values there
============  =================================  ==============================================
matrices      ``exclude_param_names_regex``      all (nothing excluded), or layers
rest          ``exclude_param_names_regex``      mean (nothing excluded), or base
log_t         ``exp_time``                       log10(300) (function), log10(1300) (settings)
ratio         ``truncate_rank_ratio``            0.65 (CLIP), 0.85 (language models)
power         ``filter_gamma``                   1
alpha         ``tikhonov_alpha``                 0
start         ``init_mode``                      1 (sum), 1 / number of models (mean), 0 (zero)
lambda        ``scaling_coefficient``            1
============  =================================  ==============================================

mergekit has no such method. The defaults are theirs, but that matrices outside the layers and all other tensors stay
the base's. ``alpha`` multiplies the share by Tikhonov's factor ``L / (L + alpha)``, ``power`` is an exponent of the
share before; both are searched only if asked for. With a start of 1 the merged delta is of the size of the sum of the
deltas.

Once per search and matrix an in x in matrix is decomposed in float64. With three experts the matrices of a model of 135
million parameters take 2 minutes on one core and 1.4 GB are kept, on disk where there is room; of a billion it is about
35 times as long and 12 GB, and while a matrix with 8192 inputs is prepared, 5 GB of memory. Where experts times outputs
are fewer than the inputs, everything is smaller by that. A candidate costs one product of an out x in and an in x in
matrix per matrix, less what ``ratio`` leaves out: 2 seconds for the 135 million on one core, above a minute for a
billion, where it wants a GPU. To search at a billion parameters without one, take OptMerge.
"""

from __future__ import annotations

import math

import torch

from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.inputs import Coefficients, Options
from evomerge.methods._shared.interference.closed_form import ALPHA, closed_form, log_t
from evomerge.methods._shared.interference.spectrum import Spectrum, exponential, tikhonov
from evomerge.recipe import Coefficient

RATIO = Coefficient(
    "ratio",
    0.3,
    1.0,
    0.65,
    per_model=False,
    minimum=0.0,
    maximum=1.0,
    doc="fraction of the directions, those of largest eigenvalues, that leave the start",
)
POWER = Coefficient(
    "power",
    0.5,
    3.0,
    1.0,
    per_model=False,
    searched=False,
    minimum=0.0,
    doc="exponent of the share that is gone at log_t",
)


def filter_of(spectrum: Spectrum, coefficients: Coefficients, options: Options) -> torch.Tensor:
    """Exponential, times Tikhonov's factor, of the largest eigenvalues."""
    power = shared(coefficients["power"])
    kept = exponential(spectrum.values, shared(coefficients["log_t"])).pow(power)
    kept = kept * tikhonov(spectrum.values, shared(coefficients["alpha"]))
    # Of a fraction that is a whole number but for rounding no further direction.
    count = int(shared(coefficients["ratio"]) * spectrum.shape[1] + 0.999)
    return kept * spectrum.largest(max(count, 1))


METHOD = closed_form(
    name="swudi",
    summary="WUDI in closed form: early stopping as a filter, along the strongest directions alone",
    filter_of=filter_of,
    of_filter=lambda options: (log_t(math.log10(300)), RATIO, POWER, ALPHA),
    options={},
)

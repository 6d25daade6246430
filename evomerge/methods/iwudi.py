"""IWUDI: the optimum of WUDI in closed form, regularised by one of three filters of the spectrum.

Along an eigenvector of the curvature with the eigenvalue L a filter says which share of the way from the start to the
optimum is gone:

===========  ==============================  =================================================
filter       share                           coefficients, and their values in the authors' code
===========  ==============================  =================================================
exponential  ``1 - exp(-L t)``               ``log_t``: log10(300)
landweber    ``1 - (1 - eta L / max L)^n``   ``steps``: n = 150; ``eta``: 0.9
tikhonov     ``L / (L + alpha)``             ``alpha``: 0.01
===========  ==============================  =================================================

``exponential`` is a gradient flow that is stopped early, ``landweber`` gradient descent with n steps, ``tikhonov``
ridge regression. ``start`` and ``lambda`` are those of SWUDI, as are the options ``matrices`` and ``rest``, and what is
prepared, in how much memory, and what a candidate costs. mergekit has no such method.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from evomerge.methods._shared.coefficients import shared
from evomerge.methods._shared.inputs import Coefficients, Options
from evomerge.methods._shared.interference.closed_form import ALPHA, closed_form, log_t
from evomerge.methods._shared.interference.spectrum import Spectrum, exponential, tikhonov
from evomerge.options import Option
from evomerge.recipe import Coefficient

FILTER = Option(
    "exponential",
    ("exponential", "landweber", "tikhonov"),
    str,
    "how far each direction gets: stopped at a time, after a number of steps, or by ridge regression",
)
STEPS = Coefficient(
    "steps", 10.0, 1000.0, 150.0, per_model=False, minimum=0.0, doc="number of steps of gradient descent"
)
ETA = Coefficient(
    "eta",
    0.1,
    1.0,
    0.9,
    per_model=False,
    minimum=0.0,
    doc="step size of gradient descent: 1 reaches the optimum of the strongest direction at once",
)
_OF_FILTERS = {
    "exponential": (log_t(math.log10(300)),),
    "landweber": (STEPS, ETA),
    "tikhonov": (replace(ALPHA, neutral=0.01, searched=True),),
}


def filter_of(spectrum: Spectrum, coefficients: Coefficients, options: Options) -> torch.Tensor:
    """The filter that the options name."""
    values = spectrum.values
    if options["filter"] == "exponential":
        return exponential(values, shared(coefficients["log_t"]))
    if options["filter"] == "tikhonov":
        return tikhonov(values, shared(coefficients["alpha"]))
    left = (1 - shared(coefficients["eta"]) / values[-1] * values).clamp(0, 1)
    return 1 - left.pow(shared(coefficients["steps"]))


METHOD = closed_form(
    name="iwudi",
    summary="WUDI in closed form: its optimum, regularised by a filter of the spectrum",
    filter_of=filter_of,
    of_filter=lambda options: _OF_FILTERS[options["filter"]],
    options={"filter": FILTER},
)

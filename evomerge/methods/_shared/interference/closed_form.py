"""Declaration of methods in closed form: what differs is the filter, its coefficients and its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evomerge.methods._shared.coefficients import scale
from evomerge.methods._shared.declaration import MergeMethod
from evomerge.methods._shared.inputs import Options, Starts
from evomerge.methods._shared.interference.objective import preparing
from evomerge.methods._shared.interference.spectrum import (
    Filter,
    filtering,
    scratch_bytes,
    spectrum_bytes,
    spectrum_of,
)
from evomerge.methods._shared.matrices import MATRICES, REST, is_optimised
from evomerge.options import Option
from evomerge.recipe import Coefficient

START = Coefficient(
    "start",
    0.0,
    1.0,
    1.0,
    per_model=False,
    minimum=0.0,
    doc="what filtered-out directions keep, as a multiple of the sum of the deltas: 1 / number of models is their mean",
)
ALPHA = Coefficient(
    "alpha",
    0.0,
    0.1,
    0.0,
    per_model=False,
    searched=False,
    minimum=0.0,
    doc="strength of Tikhonov's regularisation: directions of smaller eigenvalues stay nearer to the start",
)


def log_t(neutral: float, high: float = 5.0) -> Coefficient:
    """The time at which a gradient flow is stopped, as the logarithm of base 10."""
    return Coefficient(
        "log_t", 0.0, high, neutral, per_model=False, doc="when the descent is stopped, as log10 of its time"
    )


def closed_form(
    name: str,
    summary: str,
    filter_of: Filter,
    of_filter: Callable[[Options], Sequence[Coefficient]],
    options: Mapping[str, Option],
) -> MergeMethod:
    """Declares a method in closed form.

    Args:
        name: The method's name.
        summary: One sentence for people.
        filter_of: Its filter.
        of_filter: The filter's coefficients under given options; ``lambda`` and ``start`` come before them.
        options: The filter's options; ``matrices`` and ``rest`` come before them.
    """

    def coefficients(options: Options) -> tuple[Coefficient, ...]:
        """``lambda``, ``start``, and those of the filter."""
        return (scale(searched=True), START, *of_filter(options))

    def starts(n_models: int, options: Options) -> Starts:
        """The neutral coefficients, as the method is published; it comes close to no single model."""
        return {"neutral": {own.name: own.neutral for own in coefficients(options)}}

    return MergeMethod(
        name=name,
        summary=summary,
        paper="Wei et al. 2025, Unifying multimodal large language model capabilities, https://arxiv.org/abs/2505.19892",
        merge=filtering(filter_of),
        coefficients=coefficients,
        options={"matrices": MATRICES, "rest": REST, **options},
        prepare=preparing(spectrum_of),
        prepared_bytes=spectrum_bytes,
        scratch_bytes=scratch_bytes,
        prepares=is_optimised,
        starts=starts,
        exact_starts="none",
        copies=None,
        agrees_with="the authors' code",
        cost="a product of an out x in and an in x in matrix for each matrix",
    )

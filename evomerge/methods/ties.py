"""TIES: trim small elements of deltas, elect a sign per element, average what agrees.

==========  ==========================================  =======================================
option      Yadav et al. 2023 and their code            mergekit's ``ties``
==========  ==========================================  =======================================
scope       global                                      tensor
kept        threshold                                   exact (theirs breaks ties at random)
rescale     none                                        none, or l1
votes       plain                                       weighted
tie         majority                                    positive
normalise   count                                       weight, or none
==========  ==========================================  =======================================

The paper keeps a density of 0.2, has no weights (all are 1) and tunes lambda. The defaults are mergekit's, so that
recipes can be exchanged; a threshold per tensor also leaves no layer empty. Where mergekit would keep no element of a
tiny tensor and fail, one is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from evomerge.methods._declaration import Coefficients, MergeMethod, Options, Starts, TensorContext, TensorSet
from evomerge.methods._deltas import DeltaState, merge, net_sign
from evomerge.methods._trim import ModelRanks, ModelTrim, TensorTrim
from evomerge.methods._vocabulary import (
    KEPT,
    NORMALISE,
    RESCALE,
    SCOPE,
    TIE,
    VOTES,
    delta_coefficients,
    delta_mergekit,
    delta_starts,
)
from evomerge.recipe import Coefficient


@dataclass(frozen=True)
class Survey:
    """What spans tensors with ``scope: global``.

    Attributes:
        tensors: All tensors of the merge.
        options: The method's options.
        ranks: The order of all elements of each delta.
    """

    tensors: TensorSet
    options: Options
    ranks: ModelRanks
    _signs: OrderedDict[Any, float] = field(default_factory=OrderedDict)

    def state(self, context: TensorContext, base: torch.Tensor, models: Sequence[torch.Tensor]) -> DeltaState:
        """The state of one tensor."""
        trim = ModelTrim(self.ranks, context.name, base, models)
        return DeltaState(base, models, self.options, trim, self.net_sign)

    def net_sign(self, coefficients: Coefficients) -> float:
        """The sum of the signs that the whole model elects with these coefficients; one pass over all tensors."""
        key = tuple(sorted(coefficients.items()))
        if key not in self._signs:
            self._signs[key] = sum(
                net_sign(self.state(context, base, models), coefficients)
                for context, base, models in self.tensors
                if base is not None
            )
            while len(self._signs) > 256:
                self._signs.popitem(last=False)
        return self._signs[key]


def survey(tensors: TensorSet, options: Options) -> Survey | None:
    """Counts the magnitudes of the whole model, if one threshold is to hold for all of it."""
    if options["scope"] == "tensor":
        return None
    return Survey(tensors, options, ModelRanks(tensors, options["kept"]))


def prepare(
    context: TensorContext,
    base: torch.Tensor,
    models: Sequence[torch.Tensor],
    options: Options,
    survey_state: Survey | None = None,
) -> DeltaState:
    """Counts the magnitudes of one tensor, from which a density finds its threshold without sorting."""
    if survey_state is not None:
        return survey_state.state(context, base, models)
    return DeltaState(base, models, options, TensorTrim(base, models, options["kept"]))


def coefficients(options: Options) -> tuple[Coefficient, ...]:
    """``weight``, ``density`` and ``lambda``."""
    return delta_coefficients(options, sparse=True)


def starts(n_models: int, options: Options) -> Starts:
    """See :func:`evomerge.methods._vocabulary.delta_starts`; models alone are exact, the others near."""
    return delta_starts(n_models, options, sparse=True, elects=True)


METHOD = MergeMethod(
    name="ties",
    summary="trim small elements of deltas, elect signs, average what agrees",
    paper="Yadav et al. 2023, TIES-Merging: resolving interference when merging models, https://arxiv.org/abs/2306.01708",
    merge=merge,
    coefficients=coefficients,
    options={
        "scope": SCOPE,
        "kept": KEPT,
        "rescale": RESCALE,
        "votes": VOTES,
        "tie": TIE,
        "normalise": NORMALISE,
    },
    prepare=prepare,
    survey=survey,
    starts=starts,
    mergekit=delta_mergekit,
)

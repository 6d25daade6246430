"""Calls of the authors' own functions, with the settings of their papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace

import torch

from experiments.merge_speed.authors import Checkout

Deltas = dict[str, torch.Tensor]
Again = Callable[[], Deltas]
Start = Callable[[Sequence[Deltas]], Again]
"""Takes the deltas of all models, prepares what the authors' code prepares by itself, and gives what merges them."""


@dataclass(frozen=True)
class Official:
    """A method as its authors wrote it.

    Attributes:
        repository: A key of :data:`experiments.merge_speed.authors.REPOSITORIES`.
        function: What is called.
        does: What each merge does there, in words.
        load: Gives the merge, from the checkout.
        values: Coefficients of the same merge here; those that are not named are neutral.
        keeps: Whether it prepares something that a second merge of the same models uses.
        slow: Whether it takes minutes for a layer, there or here, and is left out unless it is asked for.
    """

    repository: str
    function: str
    does: str
    load: Callable[[Checkout], Start]
    values: Mapping[str, float] = field(default_factory=dict)
    keeps: bool = False
    slow: bool = False


def _star(checkout: Checkout) -> Start:
    truncated = checkout.module("merger/STAR.py").star_task_vectors
    average = checkout.module("merger/simple_avg.py").weighted_merge

    def merge(deltas: Sequence[Deltas]) -> Deltas:
        kept = truncated(dict(enumerate(deltas)), eta=40)
        return average(list(kept.values()), [1 / len(deltas)] * len(deltas))

    return lambda deltas: partial(merge, deltas)


def _of_task_vectors(file: str, name: str) -> Callable[[Checkout], Start]:
    """A function of task vectors and a config: the form that Iso-C, Iso-CTS and TSV-M share."""

    def load(checkout: Checkout) -> Start:
        function = getattr(checkout.module(file), name)

        def merge(deltas: Sequence[Deltas]) -> Deltas:
            method = SimpleNamespace(common_space_fraction=0.8)
            names = [str(i) for i in range(len(deltas))]
            config = SimpleNamespace(device="cpu", DATASETS=names, num_tasks=len(names), method=method)
            return function([SimpleNamespace(vector=own) for own in deltas], config)

        return lambda deltas: partial(merge, deltas)

    return load


class _Weights:
    """As much of a model as their code asks for: a base that is zero, and experts that are the deltas."""

    def __init__(self, tensors: Deltas) -> None:
        self._tensors = tensors

    def cpu(self) -> _Weights:
        return self

    def state_dict(self) -> Deltas:
        return self._tensors

    def named_parameters(self) -> list[tuple[str, torch.Tensor]]:
        return list(self._tensors.items())


def _models(deltas: Sequence[Deltas]) -> tuple[_Weights, list[_Weights]]:
    zero = {name: torch.zeros_like(delta) for name, delta in deltas[0].items()}
    return _Weights(zero), [_Weights(own) for own in deltas]


def _closed_form(name: str) -> Callable[[Checkout], Start]:
    def load(checkout: Checkout) -> Start:
        function = getattr(checkout.module("LLaMA-Factory/swudi_aswudi.py"), name)

        def merge(deltas: Sequence[Deltas]) -> Deltas:
            return function(*_models(deltas), [], merge_device=None, progress=False)

        return lambda deltas: partial(merge, deltas)

    return load


def _wudi(checkout: Checkout) -> Start:
    unused = {
        "wandb": {},
        "task_vectors": {"TaskVector": None},
        "eval": {"eval_single_dataset": None, "eval_single_dataset_with_loss": None},
        "args": {"parse_arguments": None},
    }
    function = checkout.module("vit/wudi_main.py", **unused).get_redundant_task_vector

    def merge(deltas: Sequence[Deltas]) -> Deltas:
        merged = {}
        for name in deltas[0]:
            stack = torch.stack([own[name] for own in deltas])
            # It moves what it is given to a GPU first; here that leaves it where it is.
            merged[name] = function(name, SimpleNamespace(cuda=partial(torch.Tensor.cpu, stack)))
        return merged

    return lambda deltas: partial(merge, deltas)


def _knots(checkout: Checkout) -> Start:
    masking = checkout.module("masking_ops.py")
    # Their own look-up of a mask's function by its name stands in a file that wants packages for vision models.
    utils = {"get_mask_fn": lambda name: getattr(masking, f"{name}_masking"), "get_merging_fn": None}
    merger = checkout.module("task_merger.py", masking_ops=vars(masking), utils=utils).SVDMerger
    handler = checkout.module("ft_handlers.py").GeneralHandler
    config = {"merge_method": "ties", "topK": 30, "merging_type": "mean", "concat_across_output": True}

    def start(deltas: Sequence[Deltas]) -> Again:
        base, experts = _models(deltas)
        own = merger(experts, base, handler, device="cpu", merge_config=config)
        own.transform(config)
        return lambda: own.merge(config).state_dict()

    return start


_TSVM = "src/utils/TSVM_utils.py"
_PREPARED: Mapping[str, Official] = {
    "star": Official(
        "STAR",
        "star_task_vectors, weighted_merge",
        "an SVD of each delta",
        _star,
        {"eta": 0.4},
    ),
    "iso_c": Official(
        "iso-merging",
        "iso_c",
        "an SVD of the sum of the deltas",
        _of_task_vectors("src/utils/iso.py", "iso_c"),
    ),
    "iso_cts": Official(
        "iso-merging",
        "iso_cts",
        "an SVD of the sum, one of each delta without the common space, and two of the stacked vectors",
        _of_task_vectors("src/utils/iso.py", "iso_cts"),
    ),
    "tsvm": Official(
        "task_singular_vectors",
        "compute_and_sum_svd_mem_reduction",
        "an SVD of each delta and two of the stacked vectors",
        _of_task_vectors(_TSVM, "compute_and_sum_svd_mem_reduction"),
    ),
    "tsvm:keep=all": Official(
        "task_singular_vectors",
        "compute_and_sum_svd_mem_reduction_lossless",
        "an SVD of each delta and two of the stacked vectors, all of them",
        _of_task_vectors(_TSVM, "compute_and_sum_svd_mem_reduction_lossless"),
    ),
    "knots:others=base": Official(
        "KnOTS",
        "SVDMerger.transform, SVDMerger.merge",
        "an SVD in float64 of the deltas side by side, which its later merges use again, and TIES on the blocks",
        _knots,
        {"density": 0.3},
        keeps=True,
    ),
    "swudi": Official(
        "MLLMerging",
        "swudi_merge",
        "products of the deltas and an eigendecomposition of their sum",
        _closed_form("swudi_merge"),
    ),
    "aswudi": Official(
        "MLLMerging",
        "aswudi_merge",
        "products of the deltas and an eigendecomposition of their sum",
        _closed_form("aswudi_merge"),
    ),
    "wudi": Official(
        "WUDI-Merging",
        "get_redundant_task_vector",
        "300 steps of Adam",
        _wudi,
        slow=True,
    ),
}
# Their functions take no weights and no ranks; ours take them from each candidate, and decompose as often.
_SEARCHED = {"iso_c:weights=searched": "iso_c", "iso_cts:weights=searched": "iso_cts", "tsvm:ranks=searched": "tsvm"}
OFFICIALS: Mapping[str, Official] = {
    **_PREPARED,
    **{word: replace(_PREPARED[name], slow=True) for word, name in _SEARCHED.items()},
}
"""By method here, with the options of the same merge."""

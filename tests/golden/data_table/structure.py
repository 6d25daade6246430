"""Structural methods: deltas of low rank, routers and groups of experts, layers that become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import transformers

from evomerge import methods
from evomerge.analysis.expert_groups import Array, groups_of, likeness_of, shared_counts, weights_within
from evomerge.merging import Checkpoints, Merger
from evomerge.merging.mixture import ExpertPrompts, rows_from_embeddings, rows_from_states
from evomerge.recipe import CheckpointRef, Group, OutputLayer, ParameterGroups, Recipe, Source, fused_layers
from evomerge.run.structure.gates import calibration_of
from evomerge.statistics import LAYERS, Counts, Site, Wanted, load
from evomerge.transforms._shared.matching import assign
from evomerge.transforms._shared.units import inner
from tests.golden.data_table.case import INPUTS, Compute, Computed, DataFamily
from tests.golden.data_table.collectors import arrays
from tests.golden.table.case import Tensors
from tests.golden.tensor_merge import TensorMerge

EXACT = {"stored": "float32"}
STATES = {"hidden": "hidden_last", "hidden_avg": "hidden_mean"}


def twin(family: DataFamily) -> Tensors:
    """The model merged by task arithmetic, and what each expert knows beyond it, truncated, weighted by the router."""
    settings, experts = family.settings, family.experts
    models = {name: family.model(name) for name in ("base", *experts)}
    shared = TensorMerge("task_arithmetic", {"weight": settings["scaling"]}).of(models)
    weights = torch.softmax(torch.tensor(settings["router_logits"], dtype=torch.float64), 0).tolist()
    values = {"weight": weights, "rank": 1 - settings["mask_rate"]}
    return TensorMerge("truncated_svd", values, EXACT).of({**models, "base": shared})


def tsv_compress(family: DataFamily) -> Tensors:
    """Each expert's own delta."""
    wanted = family.expected(family.name)
    base, found = family.model("base"), {}
    for expert in family.experts:
        own = {name for name in base if f"{expert}/{name}" in wanted}
        models = {one: {n: t for n, t in family.model(one).items() if n in own} for one in ("base", expert)}
        merge = TensorMerge("truncated_svd", {"rank": family.settings["sv_reduction"]}, EXACT)
        found |= {f"{expert}/{name}": tensor - base[name] for name, tensor in merge.of(models).items()}
    return found


def gates(family: DataFamily) -> Tensors:
    """Routers from prompts."""
    settings = family.settings
    every = zip(settings["positive_prompts"], settings["negative_prompts"], strict=True)
    prompts = [ExpertPrompts(tuple(map(tuple, positive)), tuple(map(tuple, negative))) for positive, negative in every]
    weights = family.model(settings["model"])
    config = transformers.LlamaConfig.from_json_file(family.root / INPUTS / "config.json")
    if settings["mode"] == "cheap_embed":
        rows = rows_from_embeddings(weights["model.embed_tokens.weight"], prompts)
        return {"gate": rows.expand(config.num_hidden_layers, -1, -1)}
    wanted = Wanted(STATES[settings["mode"]])

    def states(texts: Sequence[Sequence[int]]) -> torch.Tensor:
        return dict(arrays(family, settings["model"], calibration_of(texts), wanted))[LAYERS]

    found = [(states(own.positive), states(own.negative) if own.negative else None) for own in prompts]
    return {"gate": rows_from_states(found)}


def mixtral(family: DataFamily) -> Tensors:
    """Groups of experts with their usage and likeness, each under its lowest member's number."""
    settings, given = family.settings, family.statistics()
    layers = range(settings["layers"])
    said = [given[f"router_logits/{layer}"] for layer in layers]
    usages = [of_router("router_usage", one) for one in said]
    likenesses = [likeness_of(of_router("router_logits", one)) for one in said]
    counts = shared_counts(usages, settings["num_average_groups"])
    found: dict[str, torch.Tensor] = {}
    for layer, count in zip(layers, counts, strict=True):
        groups = groups_of(usages[layer], likenesses[layer], count)
        found |= {f"usage/{layer}": torch.from_numpy(usages[layer]), f"group/{layer}": torch.from_numpy(groups)}
        found[f"similarity/{layer}"] = torch.from_numpy(likenesses[layer])
        weights = weights_within(groups, usages[layer])
        names = [name for name in given if name.startswith(f"model.layers.{layer}.") and ".experts.0." in name]
        for group in range(count):
            members = np.flatnonzero(groups == group).tolist()
            for name in names:
                own = {str(i): {name: given[name.replace(".experts.0.", f".experts.{i}.")]} for i in members}
                merge = TensorMerge("linear", {"weight": weights[members].tolist()}, base=None)
                found[name.replace(".experts.0.", f".experts.{members[0]}.")] = merge.of(own)[name]
    return found


def of_router(name: str, logits: torch.Tensor) -> Array:
    """A statistic of what a router said, ``(tokens, experts)``."""
    statistic, tokens = load(name), len(logits)
    site, options = Site("router", logits.shape, outputs=logits.shape[1], router=True), statistic.resolve({})
    shape = statistic.shape(site, options)
    assert shape is not None
    total = torch.zeros(shape, dtype=statistic.dtype)
    statistic.add(total, logits, options)
    found: Array = statistic.finish(total, Counts(tokens, 1), lambda: logits, options).numpy()
    return found


def switch(family: DataFamily) -> Tensors:
    """The order of neurons in which one expert of Switch is most like another."""
    given, found = family.statistics(), {}
    for with_outputs in family.settings["include_wo"]:
        axes = {"wi": 0, "wo": 1} if with_outputs else {"wi": 0}
        first, second = ({name: given[f"{own}.{name}.weight"] for name in axes} for own in "ab")
        similar = inner(first, second, tuple(axes.items()), len(first["wi"]))
        found[f"perm_include_wo_{with_outputs}"] = assign(similar).order
    return found


def fusion(family: DataFamily) -> Tensors:
    """The last two layers become one, again and again; norms are the earlier layer's."""
    source: Source = CheckpointRef(str(family.folder / family.settings["model"]))
    left = depth(family)
    for ratio in family.settings["ratios"]:
        groups = (Group("fused", kinds=("attention", "mlp")), Group("rest", frozen=True))
        values = {"weight": np.array([[ratio, 1 - ratio]] * 2)}
        source = _recipe("linear", source, ParameterGroups(groups), values, fused_layers(left, (left - 2, left - 1)))
        left -= 1
    assert isinstance(source, Recipe)
    return dict(Merger(Checkpoints.open(source)).stream(source))


def removal(family: DataFamily) -> Tensors:
    """The last layers go, and those that stay are as they were."""
    source = CheckpointRef(str(family.folder / family.settings["model"]))
    stay = depth(family) - len(family.settings["ratios"])
    layers = tuple(OutputLayer(((0, layer),)) for layer in range(stay))
    recipe = _recipe("passthrough", source, ParameterGroups((Group("all"),)), {"scale": np.ones(1)}, layers)
    return dict(Merger(Checkpoints.open(recipe)).stream(recipe))


def depth(family: DataFamily) -> int:
    """Number of layers."""
    found: int = transformers.LlamaConfig.from_json_file(family.root / INPUTS / "config.json").num_hidden_layers
    return found


def _recipe(
    method: str,
    source: Source,
    groups: ParameterGroups,
    values: Mapping[str, np.ndarray],
    layers: tuple[OutputLayer, ...],
) -> Recipe:
    options = methods.load(method).resolve({})
    return Recipe(method, options, (source,), None, groups, values, layers=layers, out_dtype="float32")


CASES: dict[str, Compute] = {
    "twin_svd_mask0.5": Computed("truncated_svd", twin),
    "twin_svd_mask0.9": Computed("truncated_svd", twin),
    "tsv_compress": Computed("truncated_svd", tsv_compress),
    "moe_gate_cheap_embed": gates,
    "moe_gate_hidden": gates,
    "moe_gate_hidden_avg": gates,
    "mcsmoe_mixtral": mixtral,
    "mcsmoe_switch_permutation": switch,
    "mka_fusion": fusion,
    "mka_fusion_as_coded": removal,
}

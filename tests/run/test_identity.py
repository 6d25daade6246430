"""Every setting is in a run's identity, or is left out of it for a reason."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge.config import compose
from evomerge.config.schema import SEARCH
from evomerge.run.assemble import assemble, with_fingerprints
from evomerge.run.description.identity import _devices, run_identity
from evomerge.run.runtime import worker_settings
from tests.run.family import Family

# Where the identity says what a setting means. What changes a score or a proposal belongs here.
INSIDE = {
    "recipe": "genome.recipe",
    "models": "models",
    "base": "base",
    "method": "method.name",
    "method_options": "method.options",
    "post": "post",
    "tasks": "fitness.tasks",
    **{
        f"fitness.{name}": f"fitness.{name}"
        for name in (
            "num_fewshot", "apply_chat_template", "fewshot_as_multiturn", "system_instruction", "gen_kwargs", "splits",
            "batch_size", "max_length", "fewshot_seed", "prefixes", "drafts", "split_rule", "think_end",
            "chat_template_args", "code",
        )
    },
    "items_per_task": "items",
    "test_items_per_task": "items",
    "objectives": "objectives",
    "constraints": "constraints",
    "safety": "constraints",
    "measures": "measures",
    "cells": "cells",
    "patterns": "genome.patterns",
    "layer_pattern": "genome.layer_pattern",
    "unmatched": "unmatched",
    "embeddings": "embeddings",
    "tokenizer": "tokenizer",
    "functions": "functions",
    **dict.fromkeys(("calibration", "calibration_of"), "statistics"),
    **{f"statistics.{name}": "statistics" for name in ("gram_limit", "sequences", "tokens")},
    **{
        f"dam.{name}": "statistics"
        for name in (
            "epochs", "batch", "rate", "share", "decay", "largest", "divergence", "squares", "entropy", "similarity",
            "absolute", "euclidean", "overlap", "temperature",
        )
    },
    "seed": "seed",
    "start_from": "starts",
    "start_temperature": "starts",
    "start_sensitivity": "starts",
    **{
        f"genome.{name}": f"genome.settings.{name}"
        for name in (
            "depth", "block_size", "control_points", "basis", "split_kinds", "own_groups", "frozen", "fixed", "bounds",
            "shared", "filters", "ends", "control_every", "searched", "modules",
            "weights", "averaging", "metrics", "layers", "fewer", "influence",
            "through", "jumps", "longest", "repeats", "scales", "outside",
        )
    },
    **{f"searcher.{name}": f"searcher.{name}" for name in ("name", "population", "options")},
    "mode": "mode",
    "rounds": "rounds.count",
    **{f"round.{name}": f"rounds.{name}" for name in ("elites", "experts", "evaluations", "last", "noise")},
    "allocation.policy": "allocation.policy.name",
    "allocation.options": "allocation.policy.carried",
    "allocation.race": "allocation.race.name",
    "allocation.rungs": "allocation.race.rungs",
    "allocation.race_options": "allocation.race.level",
    "allocation.estimator_options": "allocation.estimator_options.penalty",
    **{f"allocation.{name}": f"allocation.{name}" for name in ("items", "growth", "estimator", "proxy")},
    **{
        f"model.{name}": f"model.{name}"
        for name in ("dtype", "attention", "quantise", "device", "threads", "merge_dtype", "out_dtype")
    },
}  # fmt: skip
BUDGET = "a run can be extended, so what ends it is not what it is"
AFTER = "it begins when the search is over"
SAME = "it changes where and how fast the same scores come about"
OUTSIDE = {
    "task_path": "the items and the judging that are found there are inside, wherever they lie",
    "evaluations": BUDGET,
    "budgets.items": BUDGET,
    "budgets.seconds": BUDGET,
    "budgets.patience": BUDGET,
    "max_failures": BUDGET,
    "promote.candidates": AFTER,
    "promote.allocation": AFTER,
    "promote.share": AFTER,
    "confirm.finalists": AFTER,
    "confirm.margin": "only the report reads it",
    "confirm.scales": AFTER,
    "run_dir": SAME,
    "offline": SAME,
    "statistics.folder": "statistics are known by their keys, which are inside, wherever they lie",
    "statistics.memory": SAME,
    "executor.name": f"{SAME}; one that makes scores up says so itself, see ExecutorSpec.identity",
    "executor.workers": SAME,
    "executor.retries": SAME,
    "executor.timeout": "what is given up as too slow is recorded as failed, and stays so",
    "executor.memory": "what is given up as too large is recorded as failed, and stays so",
    "executor.options": f"{SAME}; of one that makes scores up they are inside, see ExecutorSpec.identity",
    "model.trust_remote_code": "a model whose code may not run is not scored at all",
    "model.prepared_disk": SAME,
    "model.prepared_memory": SAME,
    "model.device_map": f"{SAME}; the type of the first device is inside, and all types where there are several",
    "model.max_memory": SAME,
    "model.tolerance": "it says which workers may score, and a score is that of the worker that made it",
    "progress": "only people see it",
    "tracking": "trackers are told of a search and tell it nothing",
    "tracking_options": "see tracking",
}


def test_every_setting_is_inside_or_outside() -> None:
    assert not set(INSIDE) & set(OUTSIDE)
    assert set(SEARCH) == set(INSIDE) | set(OUTSIDE), (
        "say in this file whether the setting is in a run's identity (evomerge/run/description/identity.py), and why "
        "if it is not"
    )


def test_the_identity_follows_what_is_inside_and_nothing_else(family: Family, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def size(model, tokenizer):\n    return 1.0\n")
    (tmp_path / "elsewhere").symlink_to(family.folder / "tasks")
    plain = identity(family, base=str(family.folder / "base"))
    outside = {
        "task_path": tmp_path / "elsewhere", "evaluations": 99, "budgets.items": 9999, "budgets.seconds": 99,
        "budgets.patience": 9, "max_failures": 9, "promote.candidates": 5, "promote.allocation": "ocba",
        "promote.share": 0.3, "confirm.finalists": 2,
        "statistics.folder": tmp_path / "statistics", "statistics.memory": "1GB",
        "confirm.margin": 2.0, "confirm.scales": "[0.4]", "run_dir": tmp_path / "other", "offline": "true",
        "executor.name": "processes", "executor.workers": 2, "executor.retries": 1,
        "executor.timeout": 99, "executor.memory": "9G", "executor.options": None,
        "model.trust_remote_code": "true", "model.prepared_disk": "1M", "model.prepared_memory": "1M",
        "model.tolerance": 0.01, "tracking": "[]", "tracking_options": "{wandb: {mode: online}}", "progress": "lines",
        "model.device_map": "auto", "model.max_memory": "9GB",
    }  # fmt: skip
    assert set(outside) == set(OUTSIDE)
    assert identity(family, **outside) == plain
    inside = {
        "models": f"[{family.folder / 'two'},{family.folder / 'base'}]", "base": family.folder / "one",
        "method": "ties", "method_options": "{normalise: none}", "post": "[scale]",
        "tasks": "[second]", "fitness.num_fewshot": 1,
        "fitness.apply_chat_template": "true", "fitness.fewshot_as_multiturn": "true",
        "fitness.system_instruction": "Think.", "fitness.gen_kwargs": "{max_gen_toks: 7}",
        "fitness.chat_template_args": "{enable_thinking: false}",
        "fitness.splits": "{search: 0.6, selection: 0.2, test: 0.2}", "fitness.batch_size": 3,
        "fitness.max_length": 99, "fitness.fewshot_seed": 5, "fitness.prefixes": "shared", "fitness.split_rule": 1,
        "fitness.drafts": "off", "fitness.code": "sandbox",
        "items_per_task": 11, "test_items_per_task": 9, "objectives": "[second.gold_logprob]",
        "constraints": "['python.size >= 0']", "safety": "[second]", "patterns": "[[attention, 'self_attn']]",
        "unmatched": "keep", "embeddings": "base", "tokenizer": "base", "layer_pattern": "'layers\\.(\\d+)\\.'",
        "functions": f"[{tmp_path / 'own.py'}:size]", "seed": 3, "start_temperature": 5, "start_sensitivity": "[0.1]",
        "genome.depth": "smooth", "genome.block_size": 2, "genome.control_points": 2,
        "genome.basis": "cosine", "genome.split_kinds": "true", "genome.own_groups": "[norm]",
        "genome.frozen": "[norm]", "genome.fixed": "{layer * mlp: {density: 0.5}}", "genome.bounds": "{weight: [0, 1]}",
        "genome.shared": "[weight]", "genome.ends": "own", "genome.modules": "searched",
        "genome.control_every": 1, "searcher.name": "cmaes", "searcher.population": 8,
        "searcher.options": "{sigma: 0.2}", "allocation.policy": "rotating", "allocation.options": "{carried: 0.5}",
        "allocation.items": 3, "allocation.growth": "converging", "allocation.race": "sequential",
        "allocation.rungs": 2, "allocation.race_options": "{level: 0.1}", "allocation.estimator": "aipw",
        "allocation.estimator_options": "{penalty: 5.0}",
        "allocation.proxy": "gold_logprob",
        "model.dtype": "float16", "model.attention": "eager", "model.quantise": "int8", "model.device": "cpu",
        "model.threads": 2, "model.merge_dtype": "bfloat16", "model.out_dtype": "float16",
    }  # fmt: skip
    # A recipe has its own models and groups, see test_recipe_search; filters are another way to split than kinds.
    # Layers that go have a space of their own, too.
    fewer = {"genome.layers", "genome.fewer", "genome.influence"}
    paths = {f"genome.{name}" for name in ("through", "jumps", "longest", "repeats", "scales", "outside")}
    # And an asynchronous search asks every candidate all items, and weights that follow a rule have no bounds.
    rules = {"genome.weights", "genome.averaging", "genome.metrics"}
    # What statistics are computed on counts for methods that read some, see test_statistics.
    read = {key for key, place in INSIDE.items() if place == "statistics"}
    # And elites have neither tokens of their own nor fixed numbers of layers.
    rounds = {key for key in INSIDE if key.partition(".")[0] in ("round", "rounds")}
    alone = {
        "start_from",
        "recipe",
        "genome.searched",
        "genome.filters",
        "mode",
        "fitness.think_end",
        *rounds,
        *rules,
        *read,
        *fewer,
        *paths,
        "measures",
        "cells",
    }
    assert set(inside) == set(INSIDE) - alone
    started = identity(family, start_from=finished)  # by itself: such a run has the same models and method
    assert {name for name in plain if started[name] != plain[name]} == {"starts"}
    steady = identity(family, base=str(family.folder / "base"), mode="asynchronous")
    assert {name for name in steady if steady[name] != plain.get(name)} == {"mode"}
    more = {"rounds": 2, "round.elites": 3, "round.experts": "true", "round.evaluations": 12}
    several = identity(family, base=str(family.folder / "base"), **more)
    assert {name for name in several if several[name] != plain.get(name)} == {"rounds"}
    assert several["rounds"] == {"count": 2, "elites": 3, "experts": True, "evaluations": 12}
    more |= {"round.last": "noise", "round.noise": "{rank: 2}"}
    noisy = identity(family, base=str(family.folder / "base"), **more)
    assert {name: value for name, value in noisy["rounds"].items() if name not in several["rounds"]} == {
        "last": "noise", "noise": {"rank": 2},
    }  # fmt: skip
    ruled = {"genome.weights": "metric", "genome.averaging": "sma", "genome.metrics": "[1, 2]"}
    followed = identity(family, base=str(family.folder / "base"), **ruled)
    assert not [name for name in rules if at(plain, INSIDE[name]) == at(followed, INSIDE[name])]
    kept = {"searcher": "map_elites", "objectives": "[first.acc]"}
    spread, finer = (identity(family, **kept, **own) for own in ({}, {"measures": "[second.acc]", "cells": 4}))
    assert {name for name in spread if spread[name] != finer[name]} == {"measures", "cells"}
    gone = {"genome.layers": "removed", "genome.fewer": "[1, 1]", "genome.influence": "[0.2, 0.1]"}
    shorter = identity(family, base=str(family.folder / "base"), **gone)
    assert not [name for name in fewer if at(plain, INSIDE[name]) == at(shorter, INSIDE[name])]
    led = {"genome.layers": "path", "genome.jumps": 1, "genome.through": "both", "genome.outside": 0}
    led |= {"genome.scales": "none", "genome.longest": 4}
    walked = identity(family, base=str(family.folder / "base"), **led)
    repeated = identity(family, base=str(family.folder / "base"), **{"genome.layers": "data_flow", "genome.repeats": 3})
    same = [name for name in paths if at(plain, INSIDE[name]) == at(walked, INSIDE[name])]
    assert same == ["genome.repeats"]
    assert at(repeated, INSIDE["genome.repeats"]) == 3
    # Where nothing is generated, as here, nothing ends thinking.
    free = "[{task: free, data: %s, question: '{{question}}', answer: '{{answer}}'}]"
    written = {
        "tasks": free % (family.folder / "tasks" / "first.jsonl"), "objectives": "[free.exact_match,free.tokens]",
    }  # fmt: skip
    judged, thought = (identity(family, **written, **{"fitness.think_end": end}) for end in ("auto", "'</think>'"))
    assert {name for name in judged if judged[name] != thought[name]} == {"fitness", "judging"}
    assert at(judged, INSIDE["fitness.think_end"]) is None, "as in runs that began before there was a choice"
    assert at(thought, INSIDE["fitness.think_end"]) == "</think>"
    other = identity(family, **inside)
    paths = {key: path for key, path in INSIDE.items() if key not in alone - {"start_from"}}
    same = [key for key, path in paths.items() if at(plain, path) == at(other, path)]
    assert same == ["model.device"], "which is the CPU in both"


def identity(family: Family, **changes: Any) -> dict[str, Any]:
    """The identity of the family's search with other settings."""
    words = dict(word.split("=", 1) for word in family.words("somewhere", **changes))
    config = compose.search([f"{key}={value}" for key, value in words.items()])
    assembly = with_fingerprints(assemble(config), lambda _: None)
    return run_identity(assembly, worker_settings(assembly, config.model.threads or 1))


def at(value: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path, None if there is nothing."""
    return functools.reduce(lambda inner, name: (inner or {}).get(name), path.split("."), value)


def test_devices_of_several_types_are_inside() -> None:
    assert _devices(("cuda:0", "cpu")) == {"devices": ["cuda", "cpu"]}
    for alike in ((), ("auto",), ("cpu",), ("cuda:0", "cuda:1"), ("cuda", "cuda:1")):
        assert _devices(alike) == {}, "as in runs that began before there were several"

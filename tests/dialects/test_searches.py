"""Configurations of mergekit-evolve and Mergenetic in our words, and everything in them that is not supported."""

from __future__ import annotations

from typing import Any

import pytest

from evomerge.dialects import evolve, mergenetic
from evomerge.dialects.yaml_text import documents
from evomerge.errors import InputError

GENOME = {"models": ["A", "B"], "merge_method": "ties", "base_model": "C"}


def evolved(**changes: Any) -> dict[str, Any]:
    """The values of a configuration of mergekit-evolve; ``genome`` adds to the smallest."""
    genome = GENOME | changes.pop("genome", {})
    config = {"genome": genome, "tasks": ["t"], **changes}
    assert evolve.is_config(config)
    return dict(evolve.overrides(config, "e.yml").values)


def test_genomes_are_searched_in_the_same_groups_between_the_same_ends() -> None:
    whole = evolved()
    assert (whole["models"], whole["base"], whole["method"]) == (["A", "B"], "C", "ties")
    assert whole["method_options"] == {"normalise": "weight"}
    assert (whole["genome"], whole["genome.own_groups"], whole["genome.fixed"]) == ("model", [], {"*": {"lambda": 1.0}})
    assert (whole["searcher"], whole["evaluations"], whole["model.out_dtype"]) == ("cmaes", 100, "bfloat16")
    blocks = evolved(genome={"layer_granularity": 8, "filters": ["self_attn", "mlp"], "normalize": False})
    assert (blocks["genome"], blocks["genome.block_size"], blocks["genome.ends"]) == ("blocks", 8, "nearest")
    assert blocks["genome.filters"] == ["self_attn", "mlp"]
    assert (blocks["method_options"]["normalise"], blocks["genome.bounds"]) == ("none", {"weight": [0.0, 1.5]})
    smooth = evolved(genome={"layer_granularity": 4, "smooth": True, "merge_method": "task_arithmetic"})
    assert (smooth["genome"], smooth["genome.control_every"]) == ("smooth", 4)
    signed = evolved(genome={"merge_method": "task_arithmetic", "allow_negative_weights": True})
    assert signed["genome.bounds"] == {"weight": [-1.5, 1.5]}
    dare = evolved(genome={"merge_method": "dare_ties"})
    assert dare["method_options"] == {"rescale": "l1", "normalise": "weight"}
    sources = ("C", "base", "union")
    assert [evolved(genome={"tokenizer_source": source})["tokenizer"] for source in sources] == [
        "base",
        "base",
        "union",
    ]
    between = evolved(genome={"merge_method": "slerp", "base_model": "B"})
    assert (between["models"], between["base"]) == (["B", "A"], None)


def test_tasks_add_up_to_one_objective() -> None:
    tasks = [
        "t",
        {"name": "g", "weight": 0.5, "metric": "exact_match,strict"},
        {"name": "t", "metric": "ppl", "weight": -2},
    ]
    found = evolved(tasks=tasks, limit=20, num_fewshot=0, apply_chat_template=False, random_init=False)
    assert found["tasks"] == ["t", "g"]
    assert found["objectives"] == ["t.acc + 0.5*g.exact_match,strict + -2*t.ppl"]
    assert (found["items_per_task"], found["fitness.num_fewshot"]) == (20, 0)
    assert (found["fitness.apply_chat_template"], found["fitness.fewshot_as_multiturn"]) == (False, False)
    assert evolved()["fitness.apply_chat_template"] is True, "as there, where nothing is said"


def test_models_are_named_as_mergekit_names_them() -> None:
    named = {"models": [{"model": {"path": "O/A", "revision": "r"}}, {"model": "B"}, "C", "O/D@r"]}
    config = {"genome": GENOME | named, "tasks": ["t"]}
    found = evolve.overrides(config, "e.yml")
    assert found.values["models"] == [{"source": "O/A", "revision": "r"}, "B", "O/D@r"]
    assert found.notes == ("genome.models: C is the base, whose delta is zero, so it has no genes here",)


def test_everything_unsupported_of_mergekit_evolve_is_named_at_once() -> None:
    genome = {
        "models": ["A", 3], "merge_method": "dare-ties", "tokenizer_source": "B", "layer_granularity": "8",
        "normalize": True, "allow_negative_weights": True, "filter": ["mlp"],
    }  # fmt: skip
    config = {"genome": genome, "tasks": [{"name": "t", "weight": 0, "mertic": "acc"}, {}], "limit": 0.5, "vllm": True}
    with pytest.raises(InputError) as error:
        evolve.overrides(config | {"random_init": True}, "e.yml")
    told = [problem.removeprefix("e.yml: ") for problem in error.value.problems]
    for start in (
        "genome.models[1] is 3", "genome.merge_method is 'dare-ties'; did you mean 'dare_ties'?",
        "genome.tokenizer_source is 'B'", "genome.allow_negative_weights is true",
        "genome.layer_granularity is '8'",
        "unsupported key genome.filter; did you mean 'filters'?", "tasks[0].weight is 0", "tasks[1].name is missing",
        "unsupported key tasks[0].mertic; did you mean 'metric'?", "limit is 0.5", "unsupported key vllm",
        "random_init is true",
    ):  # fmt: skip
        assert sum(problem.startswith(start) for problem in told) == 1, (start, told)
    with pytest.raises(InputError, match="base_model is missing; ties takes differences"):
        evolved(genome={"base_model": None})
    with pytest.raises(InputError, match="takes neither smooth nor filters"):
        evolved(genome={"merge_method": "slerp", "filters": ["mlp"], "base_model": "A"})
    assert not evolve.is_config({"genome": {"depth": "blocks"}, "tasks": ["t"]}), "a file of our own settings"


MULTI = """
run_id: multi
n_iter: 5
pop_size: 7
metric: acc
models: [A, B, C]
base_model: C
path_to_store_merged_model: models/merged/
path_to_store_config: experiments/
additional_templates_folder: lm_tasks
tasks: [arc_it, arc_nl]
seed: 42
n_samples: 30
dtype: float16
device: "cuda:2"
eval_batch_size: 64
load_in_4bit: false
eager_mode: true
"""
SINGLE = """
run_id: ro
pop_size: 10
n_iter: 10
bench: gsm8k
mode: mean
langs: [ro]
models: {ro: A}
base_model: B
tasks: {search: {ro: gsm8k-ro, base: gsm8k-ro}, test: {ro: gsm8k-ro}}
metric: exact_match
path_to_store_config: configs
path_to_store_merged_model: models
task_type: FG_MATH
"""


def genetic(text: str) -> Any:
    (config,) = documents(text, "m.yml")
    assert mergenetic.is_config(config)
    return mergenetic.overrides(config, "m.yml")


def test_several_tasks_are_objectives_of_dare_ties() -> None:
    found = genetic(MULTI)
    values = found.values
    assert (values["models"], values["base"], values["method"]) == (["A", "B"], "C", "dare_ties")
    assert (values["searcher"], values["searcher.population"], values["evaluations"]) == ("nsga2", 7, 35)
    assert values["objectives"] == ["arc_it.acc", "arc_nl.acc"]
    assert (values["genome"], values["genome.bounds"]) == ("model", {"weight": [0.0, 1.0]})
    assert values["method_options"] == {"rescale": "l1", "normalise": "none"}
    assert (values["items_per_task"], values["seed"], values["model.out_dtype"]) == (30, 42, "float16")
    assert (values["task_path"], values["run_dir"], values["model.device"]) == (
        ["lm_tasks"], "experiments/multi", "cuda:2",
    )  # fmt: skip
    assert [note.partition(":")[0] for note in found.notes] == ["models", "path_to_store_merged_model", "eager_mode"]


def test_one_task_is_slerp_of_base_and_model() -> None:
    values = genetic(SINGLE).values
    assert (values["models"], values.get("base"), values["method"]) == (["B", "A"], None, "slerp")
    assert (values["genome"], values["genome.control_points"], values["genome.filters"]) == (
        "smooth", 5, ["self_attn", "mlp"],
    )  # fmt: skip
    assert (values["searcher"], values["objectives"]) == ("ga", ["gsm8k-ro.exact_match"])


def test_everything_unsupported_of_mergenetic_is_named_at_once() -> None:
    text = SINGLE.replace("mode: mean", "mode: gmpirt").replace("test: {ro: gsm8k-ro}", "test: {ro: other}")
    text = text.replace("langs: [ro]", "langs: [ro, it]") + "load_in_4bit: true\ndatasets: {ro: a.csv}\npopsize: 3\n"
    with pytest.raises(InputError) as error:
        genetic(text + "seed: -1\n")
    told = [problem.removeprefix("m.yml: ") for problem in error.value.problems]
    for start in (
        "mode is 'gmpirt'", "tasks.test.ro is 'other'", "models has none for 'it'", "tasks.search has none for 'it'",
        "load_in_4bit is true", "unsupported key datasets: its own data files", "seed is -1",
        "unsupported key popsize; did you mean 'pop_size'?",
    ):  # fmt: skip
        assert sum(problem.startswith(start) for problem in told) == 1, (start, told)

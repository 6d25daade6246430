"""Configurations become recipes by mergekit's rules: precedence, gradients, filters, slices, modules, documents."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from evomerge.dialects.mergekit.facts import ModelFacts
from evomerge.dialects.mergekit.reading import configurations
from evomerge.dialects.mergekit.translation import Translation, translated
from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, CheckpointRef, Ends, Recipe

PARTS = ("self_attn.q_proj", "mlp.up_proj", "input_layernorm")
AFTER = ("model.norm.weight", "lm_head.weight")
DEPTHS = {"deep": 6, "shallow": 1}

LINEAR = "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]\n"
STACK = "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: %s}]}]"


def first(setting: str) -> str:
    """The first model of two with another setting."""
    return LINEAR.replace("weight: 1}}, ", f"{setting}}}}}, ")


def facts(ref: CheckpointRef) -> ModelFacts:
    """A Llama of four layers, or of as many as its name says."""
    layers = [f"model.layers.{i}.{part}.weight" for i in range(DEPTHS.get(ref.source, 4)) for part in PARTS]
    return ModelFacts(
        ("model.embed_tokens.weight", *layers, "model.norm.weight", "lm_head.weight"), "bfloat16", "{{ t }}"
    )


def read(text: str) -> Translation:
    return translated(configurations(textwrap.dedent(text), "f.yml"), facts)


def value(recipe: Recipe, name: str, tensor: str) -> Any:
    return recipe.coefficients[name][recipe.groups.index(tensor)].tolist()


def at(recipe: Recipe, name: str, layer: int, part: str = "mlp.up_proj") -> Any:
    return value(recipe, name, f"model.layers.{layer}.{part}.weight")


def test_the_innermost_value_wins_and_filters_fall_through() -> None:
    text = """
    merge_method: linear
    slices:
    - sources:
      - {model: a, layer_range: [0, 2], parameters: {weight: [{filter: mlp, value: 1}]}}
      - {model: b, layer_range: [0, 2]}
      parameters: {weight: [{filter: self_attn, value: 2}]}
    - sources:
      - {model: a, layer_range: [2, 4]}
      - {model: b, layer_range: [2, 4], parameters: {weight: 4}}
    parameters: {weight: 3, normalize: false}
    """
    recipe = read(text).recipe
    assert recipe.layers == ()  # every layer with the same layer of the other
    assert recipe.options == {"normalise": "none"}
    assert [at(recipe, "weight", 0, part) for part in PARTS] == [[2, 2], [1, 3], [3, 3]]
    assert at(recipe, "weight", 3) == [3, 4]
    assert value(recipe, "weight", "model.embed_tokens.weight") == [3, 3]
    assert value(recipe, "weight", "lm_head.weight") == [3, 4]


def test_gradients_are_lines_over_a_slice_and_begin_outside_layers() -> None:
    recipe = read("merge_method: slerp\nbase_model: a\nmodels: [{model: b}]\nparameters: {t: [0, 0.6, 0.9]}").recipe
    assert [source.source for source in recipe.sources] == ["a", "b"]
    assert [at(recipe, "t", layer) for layer in range(4)] == pytest.approx([0, 0.4, 0.7, 0.9])
    for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
        assert value(recipe, "t", name) == 0
    assert [group.label for group in recipe.groups.groups][:2] == ["layer 0", "layer 1"]
    one = "{sources: [{model: a, layer_range: [%d, %d]}, {model: b, layer_range: [%d, %d]}]}"
    parts = ", ".join(one % (start, end, start, end) for start, end in ((0, 1), (1, 4)))
    recipe = read(f"merge_method: slerp\nbase_model: a\nslices: [{parts}]\nparameters: {{t: [0.1, 0.9]}}").recipe
    assert [at(recipe, "t", layer) for layer in range(4)] == pytest.approx([0.9, 0.1, 0.5, 0.9])  # one layer: the end


def test_numbers_of_all_kinds() -> None:
    text = """
    merge_method: ties
    base_model: base
    models:
    - {model: a, parameters: {weight: '0.5', density: 1e-1}}
    - {model: b, parameters: {weight: 1, density: [true, '0.5']}}
    parameters: {normalize: 0, int8_mask: true, lambda: 1.0e+0, rescale: 1}
    dtype: torch.bfloat16
    out_dtype: float32
    """
    found = read(text)
    assert found.notes == ()
    recipe = found.recipe
    assert (recipe.dtype, recipe.out_dtype) == ("bfloat16", "float32")
    assert (recipe.options["normalise"], recipe.options["rescale"]) == ("none", "l1")
    assert (at(recipe, "weight", 1), at(recipe, "density", 3), at(recipe, "lambda", 0)) == ([0.5, 1], [0.1, 0.5], 1)
    assert read(text.replace("dtype: torch.bfloat16", "").replace("out_dtype: float32", "")).recipe.dtype == "bfloat16"


def test_the_base_may_be_listed_and_its_own_values_are_not_read() -> None:
    start = "merge_method: ties\nbase_model: base\nmodels: "
    listed = f"{start}[{{model: base, parameters: {{weight: 9}}}}, {{model: a, parameters: {{weight: 1}}}}]"
    recipe = read(listed).recipe
    assert ([source.source for source in recipe.sources], recipe.base) == (["a"], CheckpointRef("base"))
    assert read(listed.replace("{model: base, parameters: {weight: 9}}, ", "")).recipe == recipe
    # Of a method without deltas it is one of the models, with the value that holds for all.
    recipe = read("merge_method: linear\nbase_model: base\nmodels: [{model: a}]\nparameters: {weight: 2}").recipe
    assert [source.source for source in recipe.sources] == ["a", "base"]


def test_filters_of_models_see_the_models_names_and_others_the_merged_ones() -> None:
    text = """
    merge_method: task_arithmetic
    base_model: base
    slices:
    - sources:
      - {model: a, layer_range: [2, 4], parameters: {weight: [{filter: .2., value: 1}, {value: 5}]}}
      - {model: base, layer_range: [1, 3]}
    parameters: {lambda: [{filter: .0., value: 0.5}]}
    """
    recipe = read(text).recipe
    assert [layer.inputs for layer in recipe.layers] == [((0, 2),), ((0, 3),)]
    assert [layer.base for layer in recipe.layers] == [1, 2]
    assert [(at(recipe, "weight", n), at(recipe, "lambda", n)) for n in (0, 1)] == [([1], 0.5), ([5], 1)]


def test_stacks_take_what_lies_outside_from_their_first_and_last_slice() -> None:
    part = "{sources: [{model: %s, layer_range: [%d, %d], parameters: {scale: [{filter: mlp, value: %s}]}}]}"
    parts = ", ".join(part % values for values in (("a", 0, 3, 0.5), ("deep", 4, 6, "[0, 1]"), ("a", 3, 4, 2)))
    recipe = read(f"merge_method: passthrough\nbase_model: b\nslices: [{parts}]").recipe
    assert [layer.inputs for layer in recipe.layers] == [
        ((0, 0),),
        ((0, 1),),
        ((0, 2),),
        ((1, 4),),
        ((1, 5),),
        ((0, 3),),
    ]
    assert (recipe.ends, recipe.base) == (Ends((0,), (0,)), CheckpointRef("b"))  # config and tokenizer are the base's
    assert [at(recipe, "scale", layer) for layer in range(6)] == [0.5, 0.5, 0.5, 0, 1, 2]
    assert at(recipe, "scale", 3, "self_attn.q_proj") == 1


def test_options_that_differ_between_tensors_are_recipes_inside() -> None:
    recipe = read(
        LINEAR.replace("linear", "ties\nbase_model: base") + "parameters: {normalize: [{filter: mlp, value: false}]}"
    ).recipe
    assert recipe.method == "linear"
    inner = [source for source in recipe.sources if isinstance(source, Recipe)]
    picked = {at(recipe, "weight", 0, part).index(1.0): part for part in PARTS[:2]}
    assert {picked[place]: own.options["normalise"] for place, own in enumerate(inner)} == {
        "self_attn.q_proj": "weight",
        "mlp.up_proj": "none",
    }
    # Averages need none: weights that are divided say the same.
    averaged = (
        "merge_method: linear\nmodels: [{model: a, parameters: {weight: 3}}, {model: b, parameters: {weight: 1}}]\n"
    )
    recipe = read(f"{averaged}parameters: {{normalize: [{{filter: mlp, value: false}}]}}").recipe
    assert (at(recipe, "weight", 0), at(recipe, "weight", 0, "self_attn.q_proj")) == ([3, 1], [0.75, 0.25])
    negative = read(averaged.replace("weight: 1", "weight: -1")).recipe
    assert (negative.options, at(negative, "weight", 0)) == ({"normalise": "none"}, [1.5, -0.5])


def test_documents_name_each_other() -> None:
    text = """
    merge_method: task_arithmetic
    base_model: first
    models: [{model: second, parameters: {weight: 1}}, {model: first, parameters: {weight: 1}}]
    ---
    name: second
    merge_method: slerp
    base_model: first
    models: [{model: org/b@v2+lora@v3}]
    parameters: {t: 0.5}
    ---
    name: first
    merge_method: linear
    models: [{model: a}]
    parameters: {weight: 1}
    dtype: float32
    """
    recipe = read(text).recipe
    assert isinstance(recipe.base, Recipe)
    assert recipe.base.method == "linear"
    (second,) = recipe.sources
    assert isinstance(second, Recipe)
    assert second.sources == (recipe.base, AdapterRef("lora", CheckpointRef("org/b", "v2"), "v3"))
    assert recipe.dtype == "float32"  # as the base's model would be stored
    assert read(text.replace("merge_method: task", "name: last\n    merge_method: task")).recipe == recipe


def test_tokens_and_templates() -> None:
    text = """
    merge_method: ties
    base_model: base
    models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]
    tokenizer:
      source: b
      pad_to_multiple_of: 8
      tokens:
        <x>: {source: {kind: model_token, model: base, token: <y>}, force: true}
        <z>: {source: {kind: zero}}
        <w>: {source: a}
    chat_template: auto
    """
    recipe = read(text).recipe
    assert (recipe.tokenizer.source, recipe.tokenizer.pad_to_multiple_of, recipe.chat_template) == (1, 8, "base")
    assert recipe.tokenizer.tokens == {
        "<x>": {"source": "base", "token": "<y>", "force": True}, "<z>": {"source": "zero"}, "<w>": {"source": 0}
    }  # fmt: skip
    short = text[: text.index("tokenizer:")]
    assert read(f"{short}tokenizer_source: union").recipe.tokenizer.source == "union"
    assert read(f"{short}tokenizer_source: base").recipe.tokenizer.source == "base"
    assert read(f"{short}chat_template: chatml").recipe.chat_template == "chatml"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("- 1", ["the document is [1]; expected a mapping"]),
        (LINEAR + "dtyp: x\nout_dtype: int4", ["unsupported key 'dtyp'; did you mean 'dtype'", "out_dtype is 'int4'"]),
        ("models: [{model: a, weight: 1}]", ["unsupported key 'models[0].weight'", "the document has no merge_method"]),
        (first("wieght: 1"), ["unsupported key models[0].parameters.wieght; did you mean 'weight'"]),
        (first("weight: {filter: mlp, value: 1}"), ["a filter and its value stand in a list"]),
        (first("weight: [a, .nan]"), ["models[0].parameters.weight[0] is 'a'"]),
        (first("weight: [{filter: mlp, value: 1}]"), ["weight is missing for a (11 tensors)"]),
        (LINEAR.replace("linear", "ties"), ["merge_method ties takes differences to a base; set base_model"]),
        (LINEAR.replace("linear", "tiess"), ["merge_method is 'tiess'; did you mean 'ties'"]),
        (LINEAR.replace("model: b", "model: a"), ["models names a twice"]),
        (LINEAR.replace("model: b", "model: deep"), ["different numbers of layers (a has 4, deep has 6)"]),
        (LINEAR.replace("model: b", "model: a+b+c"), ["models[1].model is 'a+b+c'"]),
        (LINEAR + "tokenizer_source: base\ntokenizer: {source: c}", ["expected one of them"]),
        (LINEAR + "tokenizer_source: c", ["tokenizer.source is c, which is none of the models"]),
        (LINEAR + "chat_template: none of it", ["chat_template is 'none of it'; expected"]),
        (LINEAR + "parameters: {normalize: 0.5}", ["parameter normalize is 0.5; expected true or false"]),
        (LINEAR + "---\n" + LINEAR, ["2 documents have no name"]),
        (
            "merge_method: slerp\nbase_model: a\nmodels: [{model: a, parameters: {t: 1}}, {model: b}]",
            ["t is missing for the merge"],
        ),
        (
            STACK.replace("}]}]", "}]}, {sources: [{model: a}]}]") % "[2, 4]",
            ["slices[1].sources[0] has no layer_range"],
        ),
        (STACK % "[2, 5]", ["[2, 5], but a has 4 layers"]),
        (STACK % f"[0, {10**30}]", ["but a has 4 layers"]),
        (STACK % "0-4", ["layer_range is '0-4'; expected"]),
        (
            "name: x\n"
            + LINEAR.replace("model: b", "model: y")
            + "---\nname: y\n"
            + LINEAR.replace("model: b", "model: x"),
            ["these could be: none: they name each other"],
        ),
        (
            "modules: {vision: {models: [{model: a}]}}\nmerge_method: linear",
            ["modules names vision; this model has one, default"],
        ),
    ],
)
def test_refusals_name_file_and_place(text: str, problems: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    told = "\n".join(caught.value.problems)
    assert all(problem in told for problem in problems), told
    assert all("f.yml" in problem for problem in caught.value.problems), told


def test_what_mergekit_does_not_read_is_said() -> None:
    found = read(first("weight: 1, density: 0.5, normalize: false"))
    assert [note.split(":")[1].split(" is")[0].strip() for note in found.notes] == [
        "models[0].parameters.density", "models[0].parameters.normalize",
    ]  # fmt: skip
    assert found.recipe == read(LINEAR).recipe


def test_methods_keys_and_parameters_that_there_are_not_are_told_together() -> None:
    text = first("wieght: 1").replace("linear", "dare_tis") + "dtype: bf16\ntokenizer_sauce: base\n"
    with pytest.raises(InputError) as caught:
        configurations(text, "f.yml")
    said = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for part in ("dare_ties", "models[0].parameters.wieght", "tokenizer_sauce", "dtype is 'bf16'"):
        assert part in said


def test_methods_and_parameters_are_told_too_where_models_cannot_be_read() -> None:
    model = "{model: a, parameters: {wieght: 1, density: {filter: x, value: 1}}}"
    text = f"merge_method: tiess\nmodels: [{model}, {{modl: b}}]\n"
    with pytest.raises(InputError) as caught:
        configurations(text, "f.yml")
    said = "\n".join(caught.value.problems)
    for part in (
        "did you mean 'ties'",
        "models[0].parameters.wieght",
        "models[0].parameters.density is",
        "models[1].modl",
    ):
        assert part in said

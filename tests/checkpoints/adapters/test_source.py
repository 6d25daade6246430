"""An adapter on a base as a source: its fingerprint, its refusals, and what opening several gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from evomerge.checkpoints import AdapterSource, compare, find_nonfinite, fingerprint_of, open_all, open_source
from evomerge.checkpoints.adapters import WEIGHTS
from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, CheckpointRef
from tests.adapters import lora
from tests.building import edit_json, tiny_tokenizer

UP_PROJ = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"


@pytest.fixture
def adapter(llama: Path, tmp_path: Path) -> Path:
    return lora(llama, tmp_path / "adapter", 1)


def refused(base: Path, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        AdapterSource.open(open_source(base), folder)
    assert all(str(folder) in problem for problem in caught.value.problems), caught.value
    return str(caught.value)


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)


def test_deltas_smaller_than_the_rounding_of_the_base(llama: Path, tmp_path: Path) -> None:
    """The base is bfloat16, whose neighbours are further apart than these deltas are large."""
    base = open_source(llama)
    source = AdapterSource.open(base, lora(llama, tmp_path / "adapter", 1, scale=1e-3))
    name = "model.layers.0.mlp.up_proj.weight"
    delta = source.tensor(name) - base.tensor(name).float()
    assert source.tensor(name).dtype == torch.float32
    assert delta.unique().numel() > 400
    assert float((source.tensor(name).to(torch.bfloat16) == base.tensor(name)).float().mean()) > 0.9
    assert not source.in_place(name)
    assert source.file(name).name == WEIGHTS
    norm = "model.norm.weight"
    assert source.in_place(norm)
    assert source.file(norm) == base.file(norm)


def test_fingerprint_is_content(llama: Path, adapter: Path) -> None:
    def fingerprint() -> str:
        return fingerprint_of(AdapterSource.open(open_source(llama), adapter))

    first = fingerprint()
    edit_json(adapter / "adapter_config.json", lora_dropout=0.5, base_model_name_or_path="elsewhere", revision="x")
    assert fingerprint() == first
    edit_json(adapter / "adapter_config.json", lora_alpha=9)
    assert fingerprint() != first
    edit_json(adapter / "adapter_config.json", lora_alpha=8)
    assert fingerprint() == first
    change(adapter, lambda tensors: next(iter(tensors.values())).mul_(2))
    assert fingerprint() != first


def test_opened_with_the_checkpoint_that_it_is_on(llama: Path, expert: Path, adapter: Path) -> None:
    on, other = CheckpointRef(str(llama)), CheckpointRef(str(expert))
    refs = [other, AdapterRef(str(adapter), on), AdapterRef(str(adapter), other)]
    opened = open_all(refs, lambda ref: ref.source)
    assert list(opened) == [other, on, *refs[1:]]
    assert opened[refs[1]].base is opened[on]
    assert fingerprint_of(opened[refs[1]]) == fingerprint_of(opened[refs[2]])
    assert opened[refs[1]].fingerprint() != opened[refs[2]].fingerprint()
    wrong = AdapterRef(str(adapter), on, fingerprint="0" * 64)
    with pytest.raises(InputError, match="changed since"):
        open_all([wrong], lambda ref: ref.source, verify=True)
    with pytest.raises(InputError) as caught:  # once, though the adapter cannot be opened either
        open_all([AdapterRef(str(adapter), CheckpointRef("nowhere"))], lambda ref: ref.source)
    assert len(caught.value.problems) == 1


def test_what_lies_beside_it_is_told(llama: Path, adapter: Path) -> None:
    base = open_source(llama)
    assert compare(base, [AdapterSource.open(base, adapter)]).warnings == ()
    tiny_tokenizer(adapter, extra=("<tool>",), chat_template="other")
    found = compare(base, [AdapterSource.open(base, adapter)])
    assert found.problems == ()
    chat, tokens = found.warnings
    assert "chat template" in chat
    assert "<tool>" in tokens


def test_nonfinite_values_are_named(llama: Path, adapter: Path) -> None:
    assert find_nonfinite(AdapterSource.open(open_source(llama), adapter)) == ()
    change(adapter, lambda tensors: next(iter(tensors.values())).view(-1)[0].fill_(torch.nan))
    (problem,) = find_nonfinite(AdapterSource.open(open_source(llama), adapter))
    assert WEIGHTS in problem


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA"),
        ({"peft_type": "PREFIX_TUNING", "r": 0}, "learnt a prompt, so no merged weights are the same model"),
        ({"peft_type": None}, "peft_type is None"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "repeated layers"),
        ({"use_qalora": True}, "use_qalora"),
        ({"init_lora_weights": "pissa_niter_4"}, "path_initial_model_for_weight_conversion"),
        ({"a_new_field": 3}, "field 'a_new_field' is 3"),
        ({"r": 0}, "r is 0; expected a whole number above 0"),
        ({"r": "4"}, "r is '4'"),
        ({"lora_alpha": [1]}, r"lora_alpha is \[1\]; expected a number"),
        ({"rank_pattern": {"q_proj": 2}}, "says rank 2"),
        ({"alpha_pattern": {"(": 2}}, "regular expressions"),
        ({"alpha_pattern": {"(a+)+b": 2}}, "may never end"),
        ({"alpha_pattern": [1]}, "alpha_pattern"),
        ({"trainable_token_indices": [3, 3]}, "different token ids"),
        ({"use_dora": True}, "magnitude vector"),
        ({"use_rslora": "yes"}, "true or false"),
    ],
)
def test_configurations_that_are_refused(llama: Path, adapter: Path, fields: dict[str, Any], told: str) -> None:
    edit_json(adapter / "adapter_config.json", **fields)
    with pytest.raises(InputError, match=told):
        AdapterSource.open(open_source(llama), adapter)
    refused(llama, adapter)


def _put(name: str, tensor: torch.Tensor) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.update({name: tensor})


def _rename(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.replace(old, new)] = tensors.pop(name)

    return edit


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_rename("layers.1", "layers.7"), "has no such tensor"),
        (_rename("0.mlp.up_proj.lora_A", "0.mlp.up_proj.lora_C"), "what tensor"),
        (_rename("0.mlp.up_proj.lora_A", "0.mlp.gate_proj.lora_A"), "stands alone"),
        (_rename("0.mlp.up_proj", "0.mlp.down_proj_"), "has no such tensor"),
        (_rename("1.mlp.up_proj.lora_A", "1.mlp.up_proj.lora_A.second"), "several adapters"),
        (_put("base_model.model.lm_head.weight", torch.zeros(3, 16)), "more or fewer tokens"),
        (_put("base_model.model.model.norm.weight", torch.zeros(3)), "has shape"),
        (_put(UP_PROJ, torch.zeros(4, 99)), "goes from 99 to 32 features"),
        (_put(UP_PROJ, torch.zeros(4, 16, 3)), "convolution"),
        (_put(UP_PROJ, torch.zeros(4, 16, dtype=torch.int8)), "quantised"),
        (lambda tensors: tensors.clear(), "holds no tensor"),
    ],
)
def test_tensors_that_do_not_fit(llama: Path, adapter: Path, edit: Callable[..., Any], told: str) -> None:
    change(adapter, edit)
    with pytest.raises(InputError, match=told):
        AdapterSource.open(open_source(llama), adapter)
    refused(llama, adapter)


def test_files_that_are_not_there(llama: Path, adapter: Path) -> None:
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    assert "pickled weights (adapter_model.bin)" in refused(llama, adapter)
    (adapter / "adapter_model.bin").unlink()
    assert WEIGHTS in refused(llama, adapter)
    for broken in ("[]", "{", json.dumps({"peft_type": ["LORA"]})):
        (adapter / "adapter_config.json").write_text(broken)
        assert "adapter_config.json" in refused(llama, adapter)


def test_a_config_of_the_base_beside_it_does_not_matter(llama: Path, adapter: Path) -> None:
    """Trainers copy it along; weights of a whole model are another matter."""
    (adapter / "config.json").write_text((llama / "config.json").read_text())
    AdapterSource.open(open_source(llama), adapter)
    (adapter / "model.safetensors").write_bytes(b"")
    assert "could" not in refused(llama, adapter)
    assert "depends on what is installed" in refused(llama, adapter)

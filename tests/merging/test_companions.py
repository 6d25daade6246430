"""The files beside the weights: the reference's own, but for what is about this copy of the weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from evomerge.errors import InputError
from evomerge.merging import merge_to_folder
from tests.building import edit_json
from tests.merging.conftest import Family, make_recipe


@pytest.mark.parametrize("out_dtype", ["float32", "bfloat16", "float16"])
def test_config_changes_in_dtype_alone(family: Callable[..., Family], tmp_path: Path, out_dtype: str) -> None:
    base, one, two = family()
    recipe = make_recipe("linear", [one, two], base, out_dtype=out_dtype)
    out = merge_to_folder(recipe, tmp_path / "out")
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (base, out))
    assert before["dtype"] == "bfloat16"
    assert after == before | {"dtype": out_dtype}
    assert list(after) == list(before)
    assert transformers.AutoModelForCausalLM.from_pretrained(out, dtype="auto").dtype == getattr(torch, out_dtype)
    if out_dtype == "bfloat16":
        assert (out / "config.json").read_bytes() == (base / "config.json").read_bytes()


def test_older_and_nested_fields(family: Callable[..., Family], tmp_path: Path) -> None:
    base, _, two = family()
    old = Path(shutil.copytree(base, tmp_path / "old"))
    edit_json(old / "config.json", dtype=None, torch_dtype="float32", use_cache=False)
    nested = {"dtype": "float32", "use_cache": False, "hidden_size": 16}
    edit_json(old / "config.json", talker_config=nested)
    out = merge_to_folder(make_recipe("linear", [old, two], old), tmp_path / "out")
    config = json.loads((out / "config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"
    assert "dtype" not in config
    assert config["use_cache"] is True
    assert config["talker_config"] == {"dtype": "bfloat16", "use_cache": True, "hidden_size": 16}


def test_what_is_copied_along(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    full = Path(shutil.copytree(base, tmp_path / "full"))
    kept = {
        "LICENSE": b"terms",
        "processor_config.json": b"{}",
        "tokenizer.model": b"\0pieces",
        "merges.txt": b"a b",
    }
    left = {
        "README.md": b"another card",
        "training_args.bin": b"\0",
        "pytorch_model.bin": b"\0",
        "trainer_state.json": b"{}",
        "training.json": b"{}",
        "predict_results.json": b"{}",
        "model.safetensors.index.json.bak": b"",
        "modeling_custom.py": b"raise SystemExit",
        ".gitattributes": b"",
        "consolidated.00.pth": b"",
    }
    for name, data in (kept | left).items():
        (full / name).write_bytes(data)
    (full / "additional_chat_templates").mkdir()
    (full / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    out = merge_to_folder(make_recipe("linear", [one, two], full), tmp_path / "out")
    for name, data in kept.items():
        assert (out / name).read_bytes() == data
    assert not [name for name in left if (out / name).exists()]
    assert (out / "additional_chat_templates" / "tools.jinja").read_text() == "{{ tools }}"


def test_code_goes_along_where_the_config_needs_it(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    custom = Path(shutil.copytree(base, tmp_path / "custom"))
    (custom / "modeling_custom.py").write_text("# a model\n")
    edit_json(custom / "config.json", auto_map={"AutoModelForCausalLM": "modeling_custom.Custom"})
    out = merge_to_folder(make_recipe("linear", [one, two], custom), tmp_path / "out")
    assert (out / "modeling_custom.py").read_text() == "# a model\n"


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("config.json", 3),
        ("config.json", "AutoConfig"),
        ("config.json", {"AutoConfig": None}),
        ("config.json", {"AutoModelForCausalLM": 3}),
        ("tokenizer_config.json", []),
        ("tokenizer_config.json", "mine"),
        ("tokenizer_config.json", {"AutoTokenizer": [None, None]}),
        ("tokenizer_config.json", {"AutoTokenizer": ["mine.Tokenizer", 3]}),
    ],
)
def test_code_that_nobody_could_find(family: Callable[..., Family], tmp_path: Path, file: str, value: object) -> None:
    """Of such a form that transformers could load the result neither with that code nor without it."""
    base, one, two = family()
    odd = Path(shutil.copytree(base, tmp_path / "odd"))
    edit_json(odd / file, auto_map=value)
    with pytest.raises(InputError, match=f"odd/{file}': auto_map is .*; expected"):
        merge_to_folder(make_recipe("linear", [one, two], odd), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_auto_map_is_no_reason_to_look_away(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    odd = Path(shutil.copytree(base, tmp_path / "odd"))
    edit_json(odd / "config.json", auto_map={})
    edit_json(odd / "tokenizer_config.json", auto_map={}, extra_special_tokens=3)
    with pytest.raises(InputError, match="has no tokenizer that can be read"):
        merge_to_folder(make_recipe("linear", [one, two], odd), tmp_path / "out")


def test_tokenizer_and_template_work(family: Callable[..., Family], tmp_path: Path) -> None:
    base, one, two = family()
    out = merge_to_folder(make_recipe("linear", [one, two], base), tmp_path / "out")
    ours, theirs = (transformers.AutoTokenizer.from_pretrained(folder) for folder in (out, base))
    messages = [{"role": "user", "content": "Hello"}]
    assert ours.apply_chat_template(messages) == theirs.apply_chat_template(messages)
    assert ours("some text")["input_ids"] == theirs("some text")["input_ids"]

"""What is in a model's folder is looked at before anybody opens it: links out, pipes, endless and unreadable files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evomerge.checkpoints import file_problems, open_source
from evomerge.errors import InputError
from tests.building import edit_json


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_source(folder)
    return str(caught.value)


def test_links_may_not_leave_the_folder(llama: Path, copy_of: Callable[..., Path], tmp_path: Path) -> None:
    """Any of them would be read as a part of the model, and most be copied into a merge, which people publish."""
    folder, secret = copy_of(llama), tmp_path / "id_rsa"
    secret.write_text("{}")
    (folder / "additional_chat_templates").mkdir()
    for name in ("config.json", "LICENSE", "vocab.txt", "additional_chat_templates/x.jinja"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(secret)
    (folder / "tokenizer.json").rename(folder / "own.json")
    (folder / "tokenizer.json").symlink_to("own.json")
    message = refused(folder)
    for name in ("config.json", "LICENSE", "vocab.txt", "x.jinja"):
        assert f"{name}' is a link to '{secret}', which lies outside the folder" in message
    assert "tokenizer.json" not in message


def test_links_of_the_hubs_cache_are_followed(llama: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--org--name" / "snapshots" / "abc"
    blobs = tmp_path / "models--org--name" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(llama.iterdir())):
        shutil.copyfile(path, blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    assert open_source(snapshot).fingerprint() == open_source(llama).fingerprint()


def test_shards_may_not_leave_the_folder(sharded: Path, copy_of: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy_of(sharded)
    shard = next(path for path in sorted(folder.glob("*.safetensors")))
    shard.rename(tmp_path / "elsewhere.safetensors")
    shard.symlink_to(tmp_path / "elsewhere.safetensors")
    assert f"{shard.name}' is a link to" in refused(folder)


def test_what_is_no_file_or_has_no_end(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        (folder / name).unlink()
    os.mkfifo(folder / "config.json")
    (folder / "tokenizer.json").mkdir()
    with (folder / "generation_config.json").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "chat.jinja").symlink_to("chat.jinja")
    pipe, endless, loop, directory = file_problems(folder)[0], *sorted(file_problems(folder))[1:]
    found = "\n".join((pipe, endless, loop, directory))
    for said in ("config.json' is a pipe", "tokenizer.json' is a folder", f"has {1 << 40} bytes", "chat.jinja"):
        assert said in found


def test_texts_that_libraries_would_stumble_over(llama: Path, copy_of: Callable[..., Path]) -> None:
    folder = copy_of(llama)
    (folder / "special_tokens_map.json").write_text("[" * 100_000)
    (folder / "added_tokens.json").write_text("null")
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    (folder / "tokenizer_config.json").write_text('{"fast_tokenizer_files": ["../../secret/tokenizer.4.0.0.json"]}')
    found = "\n".join(file_problems(folder))
    for name in ("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "tokenizer_config.json"):
        assert name in found


def test_more_layers_and_experts_than_there_are_tensors_for(llama: Path, copy_of: Callable[..., Path]) -> None:
    """Their modules would be built, and the memory be full, before anybody missed the weights."""
    folder = copy_of(llama)
    edit_json(folder / "config.json", num_hidden_layers=10**9, vision_config={"depth": 10**6}, num_experts=256)
    message = refused(folder)
    assert f"config.json' has num_hidden_layers {10**9}, but there are only" in message
    assert f"config.json' has vision_config.depth {10**6}" in message
    assert "num_experts" not in message

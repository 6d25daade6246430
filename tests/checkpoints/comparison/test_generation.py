"""Templates and end tokens, wherever some version of transformers writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evomerge.checkpoints.comparison.generation import chat_templates, end_tokens


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": {"eos_token_id": 2}}, {"eos_token_id": 2}),
        ({"config.json": {"eos_token_id": 2}, "generation_config.json": {"eos_token_id": [2]}}, {"eos_token_id": 2}),
        ({"config.json": {"eos_token_id": 2}, "generation_config.json": {"top_p": 1}}, {"eos_token_id": 2}),
        (
            {"config.json": {"eos_token_id": 2}, "generation_config.json": {"eos_token_id": [7, 2]}},
            {"eos_token_id": [2, 7]},
        ),
        ({"config.json": {"eos_token_id": None}}, {}),
        ({"tokenizer_config.json": {"eos_token": "</s>"}}, {"eos_token": "</s>"}),
        ({"tokenizer_config.json": {"eos_token": {"content": "</s>", "lstrip": False}}}, {"eos_token": "</s>"}),
        ({"special_tokens_map.json": {"eos_token": {"content": "</s>"}}}, {"eos_token": "</s>"}),
        ({"config.json": "{oops", "tokenizer_config.json": "[]"}, {}),
    ],
)
def test_end_tokens(tmp_path: Path, files: dict[str, Any], said: dict[str, Any]) -> None:
    assert end_tokens(write(tmp_path, files)) == said


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, {}),
        ({"tokenizer_config.json": {"chat_template": "A"}}, {"default": "A"}),
        ({"chat_template.jinja": "A"}, {"default": "A"}),
        ({"chat_template.jinja": "A\n\n"}, {"default": "A\n"}),
        ({"tokenizer_config.json": {"chat_template": "A\n"}}, {"default": "A"}),
        ({"tokenizer_config.json": {"chat_template": "old"}, "chat_template.jinja": "A"}, {"default": "A"}),
        (
            {
                "tokenizer_config.json": {
                    "chat_template": [{"name": "default", "template": "A"}, {"name": "rag", "template": "B"}]
                }
            },
            {"default": "A", "rag": "B"},
        ),
        ({"chat_template.jinja": "A", "additional_chat_templates/rag.jinja": "B"}, {"default": "A", "rag": "B"}),
        ({"tokenizer_config.json": {"chat_template": [3]}}, {}),
    ],
)
def test_chat_templates(tmp_path: Path, files: dict[str, Any], found: dict[str, str]) -> None:
    assert chat_templates(write(tmp_path, files)) == found

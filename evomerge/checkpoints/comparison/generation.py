"""What the small files of a checkpoint say: config fields, chat template, end-of-text tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object; a file that is missing or broken reads as empty."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return data if isinstance(data, dict) else {}


def flat_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The fields of a config with those of its parts: ``text_config.rope_theta`` and the like."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and name.endswith("_config"):
            flat |= flat_config(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def chat_template(folder: Path) -> str | None:
    """The chat template: the file of its own, else the field of the tokenizer's config."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = read_json(folder / "tokenizer_config.json").get("chat_template")
    return template if template is None or isinstance(template, str) else json.dumps(template, sort_keys=True)


def end_tokens(folder: Path) -> dict[str, Any]:
    """Where a checkpoint says which token ends a text, and what it says there."""
    said = {
        "eos_token_id in config.json": read_json(folder / "config.json").get("eos_token_id"),
        "eos_token_id in generation_config.json": read_json(folder / "generation_config.json").get("eos_token_id"),
    }
    token = read_json(folder / "tokenizer_config.json").get("eos_token")
    said["eos_token in tokenizer_config.json"] = token.get("content") if isinstance(token, dict) else token
    return {where: value for where, value in said.items() if value is not None}

"""Files of a checkpoint that say how it is talked to: chat templates, and which token ends a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evomerge.checkpoints.files.folder_files import TEMPLATES
from evomerge.checkpoints.json_files import read_optional

DEFAULT_TEMPLATE = "default"
# Fields that name the end, and the files that have them, the deciding one first.
_END = {
    "eos_token_id": ("generation_config.json", "config.json"),
    "eos_token": ("tokenizer_config.json", "special_tokens_map.json"),
}


def chat_templates(folder: Path) -> dict[str, str]:
    """The chat templates by name, from wherever some version of transformers writes them; none where there are none."""
    found: dict[str, str] = {}
    written = read_optional(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(written, str):
        found[DEFAULT_TEMPLATE] = written
    for entry in written if isinstance(written, list) else ():
        if isinstance(entry, dict):
            found[str(entry.get("name"))] = str(entry.get("template"))
    single = folder / "chat_template.jinja"
    if single.is_file():
        found[DEFAULT_TEMPLATE] = single.read_text(encoding="utf-8", errors="replace")
    for path in sorted((folder / TEMPLATES).glob("*.jinja")):
        found[path.stem] = path.read_text(encoding="utf-8", errors="replace")
    # As jinja reads them: editors end a file with a newline, which is no part of the text.
    return {name: text.removesuffix("\n") for name, text in found.items()}


def end_tokens(folder: Path) -> dict[str, Any]:
    """The tokens that end a text, by the field that says so.

    Generation takes the ids of ``generation_config.json``, and where that has none those of ``config.json``; the
    tokenizer has a token of its own for the end.

    Returns:
        ``eos_token_id`` and ``eos_token``, each where some file has it.
    """
    said = {name: [read_optional(folder / file).get(name) for file in files] for name, files in _END.items()}
    first = {name: next((v for v in values if v is not None), None) for name, values in said.items()}
    return {name: _plain(value) for name, value in first.items() if value is not None}


def _plain(value: Any) -> Any:
    """One id rather than a list of one, ids in order, and the text of a token that is written with its properties."""
    if isinstance(value, dict):
        return value.get("content")
    if isinstance(value, list) and all(isinstance(index, int) for index in value):
        ids = sorted(set(value))
        return ids[0] if len(ids) == 1 else ids
    return value

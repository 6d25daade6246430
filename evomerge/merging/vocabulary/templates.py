"""The chat template of a merged model, where it is not that of its tokenizer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from evomerge.checkpoints import DEFAULT_TEMPLATE, TEMPLATES, chat_templates, read_object
from evomerge.errors import InputError
from evomerge.recipe import CHAT_TEMPLATES

_FILES = ("chat_template.jinja", "chat_template.json")
_CONFIG = "tokenizer_config.json"


def chosen_templates(choice: int | str | None, folders: Sequence[Path | None]) -> Mapping[str, str] | None:
    """The chat templates that a recipe asks for, by name.

    Args:
        choice: What the recipe says: the position of a source, ``base``, a known name, a template, or nothing.
        folders: Where the templates of the base, or None, and of the sources lie.

    Returns:
        The templates; None where the model keeps those of its tokenizer.

    Raises:
        InputError: If the source has none.
    """
    if choice is None:
        return None
    if isinstance(choice, str) and choice != "base":
        return {DEFAULT_TEMPLATE: CHAT_TEMPLATES.get(choice, choice)}
    folder = folders[0 if choice == "base" else int(choice) + 1]
    found = {} if folder is None else chat_templates(folder)
    if not found:
        raise InputError(
            f"chat_template is {choice!r}, but {str(folder)!r} has no chat template; give a template, or one of "
            f"{', '.join(CHAT_TEMPLATES)}"
        )
    return found


def write_templates(templates: Mapping[str, str], folder: Path) -> None:
    """Writes chat templates into a model folder, in place of those that are there.

    Args:
        templates: The templates by name.
        folder: The folder, with the files of its tokenizer.
    """
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / TEMPLATES, ignore_errors=True)
    config = folder / _CONFIG
    if config.is_file():
        content = read_object(config)
        if content.pop("chat_template", None) is not None:
            config.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, text in templates.items():
        if name == DEFAULT_TEMPLATE:
            (folder / _FILES[0]).write_text(text, encoding="utf-8")
            continue
        (folder / TEMPLATES).mkdir(exist_ok=True)
        (folder / TEMPLATES / f"{Path(name).name}.jinja").write_text(text, encoding="utf-8")

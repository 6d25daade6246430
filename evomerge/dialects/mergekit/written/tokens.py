"""Tokenizer and chat template of a recipe, in mergekit's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evomerge.dialects.mergekit.finishing import is_template
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.dialects.mergekit.written.layers import Names
from evomerge.errors import InputError
from evomerge.recipe import CHAT_TEMPLATES, Recipe, Tokenizer


def tokens(recipe: Recipe, names: Names, template_of: Callable[[int | str], str | None]) -> dict[str, Any]:
    """The keys for tokenizer and chat template; none where they are the reference's own.

    Args:
        recipe: The recipe.
        names: The names of its sources.
        template_of: Gives the chat template of a source, by its position, or of the base; None where it has none.

    Raises:
        InputError: If mergekit has no words for them.
    """
    found: dict[str, Any] = {}
    template = recipe.chat_template
    if template is not None:
        if isinstance(template, int) or template == "base":
            template = template_of(template) or template
        if template not in CHAT_TEMPLATES and not (isinstance(template, str) and is_template(template)):
            raise InputError(f"chat_template is {template!r}; mergekit takes the text of a template, not whose it is")
        found["chat_template"] = template
    if recipe.tokenizer != Tokenizer():
        found["tokenizer"] = _block(recipe.tokenizer, names)
    return found


def _block(tokenizer: Tokenizer, names: Names) -> dict[str, Any]:
    reference = names.sources[0] if names.base is None else names.base
    if tokenizer.source is None:
        source: Any = reference.written()
    else:
        source = tokenizer.source if tokenizer.source == "union" else _model(tokenizer.source, names).written()
    found: dict[str, Any] = {"source": source}
    if tokenizer.tokens:
        found["tokens"] = {token: _token(entry, names) for token, entry in tokenizer.tokens.items()}
    if tokenizer.pad_to_multiple_of is not None:
        found["pad_to_multiple_of"] = tokenizer.pad_to_multiple_of
    return found


def _token(entry: Any, names: Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    other = {key: entry[key] for key in ("token", "token_id") if key in entry}
    if entry.get("source") == "zero":
        found["source"] = {"kind": "zero"}
    elif "source" in entry:
        model = _model(entry["source"], names).written()
        found["source"] = {"kind": "model_token", "model": model, **other} if other else model
    return found | ({"force": True} if entry.get("force") else {})


def _model(source: int | str, names: Names) -> ModelName:
    if source == "base":
        assert names.base is not None
        return names.base
    return names.sources[int(source)]

"""Tokenizer and chat template of a configuration, in a recipe's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evomerge.dialects.mergekit.config import Configuration, TokenEntry
from evomerge.dialects.mergekit.facts import ModelFacts
from evomerge.dialects.mergekit.model_names import ModelName
from evomerge.errors import InputError
from evomerge.recipe import CHAT_TEMPLATES, Recipe, Source, Tokenizer

_SHORTEST = 20  # characters of what mergekit takes for a template


def finished(
    recipe: Recipe,
    configuration: Configuration,
    source: Callable[[ModelName], Source],
    facts: Callable[[ModelName], ModelFacts],
) -> Recipe:
    """The recipe with the configuration's tokenizer and chat template.

    Args:
        recipe: The recipe.
        configuration: The configuration.
        source: Gives the source of a model's name.
        facts: Gives the facts about a model.

    Raises:
        InputError: If these name models that are not merged, or templates that are none.
    """
    problems: list[str] = []

    def place(name: ModelName, where: str) -> int | str:
        """Where a model stands in the recipe."""
        wanted = source(name)
        if recipe.base is not None and recipe.base == wanted:
            return "base"
        for index, other in enumerate(recipe.sources):
            if other == wanted:
                return index
        problems.append(f"{where} is {name}, which is none of the models that are merged")
        return 0

    changes: dict[str, Any] = {}
    entry = configuration.tokenizer
    if entry is not None:
        key = "tokenizer.source"
        first = "base" if recipe.base is not None else 0
        chosen = entry.source if isinstance(entry.source, str) else place(entry.source, key)
        tokens = {name: _embedding(token, name, place) for name, token in entry.tokens.items()}
        # mergekit's embeddings have as many rows as there are tokens, whatever padding its base had.
        multiple = entry.pad_to_multiple_of or 1
        changes["tokenizer"] = Tokenizer(first if chosen == "base" else chosen, tokens, multiple)
    if configuration.chat_template is not None:
        try:
            changes["chat_template"] = _template(configuration, place, facts)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return replace(recipe, **changes) if changes else recipe


def is_template(text: str) -> bool:
    """Whether mergekit takes a text for a template, rather than for the name of one."""
    return len(text) >= _SHORTEST and "{" in text


def _embedding(entry: TokenEntry, token: str, place: Callable[[ModelName, str], int | str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if entry.kind == "zero":
        found["source"] = "zero"
    elif entry.model is not None:
        found["source"] = place(entry.model, f"tokenizer.tokens.{token}.source")
    if entry.token is not None:
        found["token_id" if isinstance(entry.token, int) else "token"] = entry.token
    return found | ({"force": True} if entry.force else {})


def _template(
    configuration: Configuration,
    place: Callable[[ModelName, str], int | str],
    facts: Callable[[ModelName], ModelFacts],
) -> int | str | None:
    wanted = configuration.chat_template
    assert wanted is not None
    if wanted == "auto":
        templates = {name: facts(name).chat_template for name in configuration.names()}
        counts = Counter(text.strip() for text in templates.values() if text)
        if not counts:
            return None
        most = counts.most_common(1)[0][0]
        return place(next(name for name, text in templates.items() if text and text.strip() == most), "chat_template")
    if wanted in CHAT_TEMPLATES:
        return wanted
    if not is_template(wanted):
        raise InputError(
            f"chat_template is {wanted!r}; expected auto, {', '.join(CHAT_TEMPLATES)} or a template of Jinja"
        )
    return wanted

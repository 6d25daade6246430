"""Token ids in configs: those of a model whose tokenizer is another one's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ENDS = ("_token_id", "_token_ids", "_token_index", "_token_indices")


def special_ids(
    config: Mapping[str, Any], own: Mapping[str, int], ids: Mapping[str, int], giver: Mapping[str, Any]
) -> dict[str, Any]:
    """A config whose token ids are those of another tokenizer.

    Args:
        config: The content of ``config.json`` or ``generation_config.json``.
        own: Token to id, as the config means them.
        ids: Token to id, as the model has them.
        giver: The same file of the model that the tokenizer is from, whose ids are taken where it says any.

    Returns:
        A copy. An id whose token the tokenizer does not have is null.
    """
    found = dict(config)
    tokens = {index: token for token, index in own.items()}
    for name, value in config.items():
        if isinstance(value, Mapping):
            inner = giver.get(name)
            found[name] = special_ids(value, own, ids, inner if isinstance(inner, Mapping) else {})
        elif name.endswith(_ENDS):
            found[name] = giver[name] if giver.get(name) is not None else _other(value, tokens, ids)
    return found


def _other(value: Any, tokens: Mapping[int, str], ids: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        known = [_other(entry, tokens, ids) for entry in value]
        return [entry for entry in known if entry is not None] or None
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return ids.get(tokens.get(value, ""))

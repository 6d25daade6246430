"""Code that comes with a model: ``auto_map`` in its files, which names it by transformers' Auto classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge.checkpoints.json_files import read_object
from evomerge.errors import InputError

_MODELS = ("AutoConfig", "AutoModel")  # the latter with whatever follows, such as ForCausalLM
_TOKENIZERS = "AutoTokenizer"


def names_code(config: Mapping[str, Any]) -> bool:
    """Whether the content of a config.json names code; an empty ``auto_map`` names none."""
    return bool(config.get("auto_map"))


def model_needs_code(path: Path) -> bool:
    """Whether a config.json names code.

    Raises:
        InputError: If its ``auto_map`` is of a form that transformers cannot read, whether it may run code or not.
    """
    config = read_object(path)
    found = config.get("auto_map", {})
    if not isinstance(found, Mapping):
        raise _malformed(path, found, "an object of Auto classes")
    for name, place in found.items():
        if name.startswith(_MODELS) and not isinstance(place, str):
            raise _malformed(path, found, f"MODULE.CLASS under {name}")
    return names_code(config)


def tokenizer_needs_code(path: Path) -> bool:
    """Whether a tokenizer_config.json names code, in one of the forms that transformers writes.

    Raises:
        InputError: If its ``auto_map`` is of a form that transformers cannot read.
    """
    if not path.is_file():
        return False
    found = read_object(path).get("auto_map", {})
    if isinstance(found, Mapping) and not isinstance(found.get(_TOKENIZERS), list):
        return False  # whoever reads the tokenizer says whether it can be read
    places = found[_TOKENIZERS] if isinstance(found, Mapping) else found
    # The class without the tokenizers library, and that with it; either may be null.
    whole = isinstance(places, list) and len(places) == 2 and any(places)
    if whole and all(place is None or isinstance(place, str) for place in places):
        return True
    raise _malformed(path, found, f"an object with a list of two classes, or one and null, under {_TOKENIZERS}")


def _malformed(path: Path, found: Any, expected: str) -> InputError:
    return InputError(
        f"{str(path)!r}: auto_map is {repr(found)[:80]}; expected {expected}. Fetch it again, or take auto_map out "
        "where the model needs no code of its own"
    )

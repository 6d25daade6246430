"""From a text to typed configurations: what is unknown, unsupported or unreadable is refused by name, all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evomerge.dialects.mergekit.config import (
    Configuration,
    ModuleEntry,
    SliceEntry,
    SourceEntry,
    TokenEntry,
    TokenizerEntry,
)
from evomerge.dialects.mergekit.fields import boolean, list_of, mapping, read_fields, shown, text, whole
from evomerge.dialects.mergekit.model_names import ModelName, model_name
from evomerge.dialects.mergekit.parameters import known_parameters, method_name
from evomerge.dialects.yaml_text import documents
from evomerge.errors import InputError, suggest

DTYPES = ("float32", "bfloat16", "float16")


def configurations(source: str, where: str) -> tuple[Configuration, ...]:
    """Reads a text of one or several documents.

    Args:
        source: The text.
        where: Its name for messages, such as the file's.

    Raises:
        InputError: With everything that is wrong.
    """
    found = documents(source, where)
    if not found:
        raise InputError(f"{where} is empty; expected a mergekit configuration, with merge_method and models or slices")
    problems: list[str] = []
    read: list[Configuration] = []
    for number, document in enumerate(found, 1):
        name = document.get("name") if isinstance(document, Mapping) else None
        place = where if len(found) == 1 else f"{where}, document {number}" + (f" ({name})" if name else "")
        configuration, wrong = _configuration(document, place)
        problems += [f"{place}: {problem}" for problem in wrong]
        read += [] if configuration is None else [configuration]
    names = [configuration.name for configuration in read]
    for name in sorted({name for name in names if name is not None and names.count(name) > 1}):
        problems.append(f"{where}: two documents are called {name!r}")
    if names.count(None) > 1:
        problems.append(f"{where}: {names.count(None)} documents have no name; expected one, which is the result")
    if problems:
        raise InputError(problems)
    return tuple(read)


def _configuration(value: Any, place: str) -> tuple[Configuration | None, list[str]]:
    """A document as far as it can be read, None where that is too little, and what is wrong with the rest."""
    readers: Mapping[str, Callable[[Any, str], Any]] = {
        "name": text,
        "merge_method": method_name,
        "base_model": model_name,
        "models": list_of(_model),
        "slices": list_of(_slice),
        "modules": _modules,
        "parameters": known_parameters,
        "dtype": _dtype,
        "out_dtype": _dtype,
        "tokenizer_source": _tokenizer_source,
        "tokenizer": _tokenizer,
        "chat_template": text,
    }
    found, problems = read_fields(value, "", readers, ("merge_method",))
    if isinstance(value, Mapping):
        given = [key for key in ("models", "slices", "modules") if value.get(key)]
        if len(given) != 1:
            problems.append(f"it has {' and '.join(given) or 'none of models, slices, modules'}; expected one of them")
        if value.get("tokenizer") and value.get("tokenizer_source"):
            problems.append("it has tokenizer and tokenizer_source; expected one of them")
    if "merge_method" not in found or not {"models", "slices", "modules"} & found.keys():
        return None, problems
    modules = found.get("modules") or {None: ModuleEntry(found.get("models", ()), found.get("slices", ()))}
    tokenizer = found.get("tokenizer")
    if "tokenizer_source" in found:
        tokenizer = TokenizerEntry(found["tokenizer_source"])
    configuration = Configuration(
        place, found["merge_method"], modules, found.get("name"), found.get("base_model"), found.get("parameters", {}),
        found.get("dtype"), found.get("out_dtype"), tokenizer, found.get("chat_template"),
    )  # fmt: skip
    return configuration, problems


def _model(value: Any, where: str) -> SourceEntry:
    found = mapping(value, where, {"model": model_name, "parameters": known_parameters}, ("model",))
    return SourceEntry(found["model"], None, found.get("parameters", {}))


def _layers_of(value: Any, where: str) -> SourceEntry:
    readers = {"model": model_name, "layer_range": _range, "parameters": known_parameters}
    found = mapping(value, where, readers, ("model", "layer_range"))
    return SourceEntry(found["model"], found["layer_range"], found.get("parameters", {}))


def _slice(value: Any, where: str) -> SliceEntry:
    readers = {"sources": list_of(_layers_of), "base_model": model_name, "parameters": known_parameters}
    found = mapping(value, where, readers, ("sources",))
    lengths = {end - start for start, end in (entry.layers for entry in found["sources"] if entry.layers)}
    if len(lengths) > 1:
        ranges = ", ".join(str(list(entry.layers or ())) for entry in found["sources"])
        raise InputError(f"{where}.sources have layer ranges of different lengths ({ranges}); expected equally many")
    return SliceEntry(found["sources"], found.get("base_model"), found.get("parameters", {}))


def _modules(value: Any, where: str) -> dict[str, ModuleEntry]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is {shown(value)}; expected a mapping of modules' names to models or slices")
    problems: list[str] = []
    found: dict[str, ModuleEntry] = {}
    readers = {"models": list_of(_model), "slices": list_of(_slice), "parameters": known_parameters}
    for name, entry in value.items():
        place = f"{where}.{name}"
        fields, wrong = read_fields(entry, place, readers)
        if not wrong and ("models" in fields) == ("slices" in fields):
            given = "both" if "models" in fields else "neither"
            wrong.append(f"{place} has {given} models and slices; expected one of them")
        problems += wrong
        if not wrong:
            found[str(name)] = ModuleEntry(**fields)
    if problems:
        raise InputError(problems)
    return found


def _range(value: Any, where: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{where} is {shown(value)}; expected [first, end], the end being the layer after the last")
    start, end = whole(value[0], f"{where}[0]"), whole(value[1], f"{where}[1]")
    if not 0 <= start <= end:
        raise InputError(f"{where} is {[start, end]}; expected [first, end], the end being the layer after the last")
    return start, end


def _dtype(value: Any, where: str) -> str:
    name = text(value, where).removeprefix("torch.")
    if name not in DTYPES:
        raise InputError(f"{where} is {name!r}; expected one of {', '.join(DTYPES)}{suggest(name, DTYPES)}")
    return name


def _tokenizer_source(value: Any, where: str) -> ModelName | str:
    return value if value in ("union", "base") else model_name(value, where)


def _tokenizer(value: Any, where: str) -> TokenizerEntry:
    readers = {"source": _tokenizer_source, "tokens": _tokens, "pad_to_multiple_of": whole}
    found = mapping(value, where, readers)
    return TokenizerEntry(found.get("source", "union"), found.get("tokens", {}), found.get("pad_to_multiple_of"))


def _tokens(value: Any, where: str) -> dict[str, TokenEntry]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is {shown(value)}; expected a mapping of tokens to {{source, force}}")
    problems: list[str] = []
    found: dict[str, TokenEntry] = {}
    for token, entry in value.items():
        if not isinstance(token, str):
            problems.append(f"{where} has the key {shown(token)}; expected a token, as a text in quotes")
            continue
        place = f"{where}.{token}"
        fields, wrong = read_fields(entry, place, {"source": _embedding, "force": boolean})
        problems += wrong
        kind, model, other = fields.get("source", (None, None, None))
        found[token] = TokenEntry(kind, model, other, fields.get("force", False))
    if problems:
        raise InputError(problems)
    return found


def _embedding(value: Any, where: str) -> tuple[str, ModelName | None, str | int | None]:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if kind is None:
        return "model", model_name(value, where), None
    if kind == "zero":
        mapping(value, where, {"kind": text})
        return "zero", None, None
    if kind != "model_token":
        known = ("zero", "model_token")
        raise InputError(f"{where}.kind is {shown(kind)}; expected {' or '.join(known)}{suggest(str(kind), known)}")
    readers = {"kind": text, "model": model_name, "token": text, "token_id": whole}
    found = mapping(value, where, readers, ("model",))
    given = [found[key] for key in ("token", "token_id") if key in found]
    if len(given) != 1:
        raise InputError(f"{where} has {'both token and token_id' if given else 'no token'}; expected one of the two")
    return "model_token", found["model"], given[0]

"""The files of a model's folder as files, before anybody reads them.

A folder from elsewhere may hold links that lead out of it, pipes, devices and files without an end. Whoever opens one
by its name, this package or a library, would wait for ever, fill the memory, or read what is no part of the model and,
where files are copied into a merge, publish it. So all are looked at before any is opened, by name, type and size.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from evomerge.checkpoints.json_files import read_object
from evomerge.errors import InputError
from evomerge.texts import LARGEST, read_text

_TEXTS = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".py")
_LEGAL = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY", "README")
TEMPLATES = "additional_chat_templates"  # the folder of templates beside the default one
# Small objects that libraries read along with a model or its tokenizer.
_OBJECTS = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# Files that cannot be something else by chance, where a folder called x.json is nobody's business.
_FILES = (*_OBJECTS, "config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json", "vocab.json")


def file_problems(folder: Path) -> list[str]:
    """Finds files of a model or an adapter that are no plain files in its folder, or no texts where they must be.

    A link may lead to another file in the folder, or into the ``blobs`` of a cache of the hub, whose folders consist of
    such links.

    Args:
        folder: An existing folder.

    Returns:
        One sentence for each file.

    Raises:
        InputError: If the folder cannot be listed.
    """
    try:
        paths = [path for path in sorted(folder.iterdir()) if _is_read(path.name)]
        paths += sorted((folder / TEMPLATES).glob("*.jinja"))
    except OSError as error:
        raise InputError(f"{str(folder)!r} cannot be listed: {error.strerror or error}") from error
    problems = [problem for path in paths if (problem := _file_problem(folder, path))]
    return problems or [*_text_problems(folder, paths)]


def _is_read(name: str) -> bool:
    """Whether some library, or the copy into a merged model, opens files of this name."""
    return name.endswith((*_TEXTS, ".safetensors")) or name.upper().startswith(_LEGAL)


def _file_problem(folder: Path, path: Path) -> str | None:
    named = repr(str(path))
    try:
        if path.is_symlink() and (problem := _link_problem(folder, path)):
            return f"{named} {problem}"
        about = path.stat()
    except (OSError, RuntimeError) as error:  # older versions of Python tell a link to itself by the latter
        reason = getattr(error, "strerror", None) or error
        return f"{named} cannot be read: {reason}"
    if stat.S_ISDIR(about.st_mode):
        return f"{named} is a folder; expected a file" if path.name in _FILES or path.suffix == ".jinja" else None
    if not stat.S_ISREG(about.st_mode):
        return f"{named} is a pipe, a socket or a device; expected a file"
    if path.suffix != ".safetensors" and about.st_size > LARGEST:
        return (
            f"{named} has {about.st_size} bytes; expected a text of at most {LARGEST}. Fetch it again, or move it away "
            "if it is no part of the model"
        )
    return None


def _link_problem(folder: Path, path: Path) -> str | None:
    target, home = path.resolve(), folder.resolve()
    shown = repr(str(path.readlink()))
    if not target.exists():
        return f"is a link to {shown}, which is not there. Fetch it again"
    in_cache = target.parent.name == "blobs" and target.parent.parent.name.startswith("models--")
    if in_cache or target.is_relative_to(home):
        return None
    return f"is a link to {shown}, which lies outside the folder. Copy that file into the folder"


def _text_problems(folder: Path, paths: list[Path]) -> Iterator[str]:
    """Texts that libraries would stumble over without naming them."""
    for path in paths:
        if path.suffix == ".jinja" and path.is_file():
            try:
                read_text(path)
            except (OSError, ValueError) as error:
                yield f"{str(path)!r} cannot be read as text: {error}"
        elif path.name in _OBJECTS and path.parent == folder:
            try:
                read_object(path)
            except InputError as error:
                yield from error.problems
                continue
            yield from _redirections(path) if path.name == "tokenizer_config.json" else ()


def _redirections(path: Path) -> Iterator[str]:
    """Other files in the place of ``tokenizer.json``, by version, which transformers would look for anywhere."""
    named = read_object(path).get("fast_tokenizer_files")
    if named is not None and not (isinstance(named, list) and all(str(name) == Path(str(name)).name for name in named)):
        yield f"{str(path)!r} has fast_tokenizer_files {named!r}; expected names of files in the folder itself"

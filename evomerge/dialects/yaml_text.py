"""YAML, read with care: no objects but plain ones, no key twice, and nothing that grows out of hand.

A few lines of YAML can stand for billions of values, where aliases name lists of aliases, or for a value that holds
itself. Texts, depths and the number of values that a reader would walk through are therefore bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from evomerge.errors import InputError

LONGEST = 4_000_000  # characters
DEEPEST = 40  # values within values
MOST = 200_000  # values, those counted again that an alias repeats


def documents(text: str, where: str) -> list[Any]:
    """Reads all documents of a text; empty ones are left out.

    Args:
        text: The text.
        where: Its name for messages, such as the file's.

    Raises:
        InputError: If it is no YAML, holds a key twice, or is too large.
    """
    if len(text) > LONGEST:
        raise InputError(f"{where} has {len(text)} characters; at most {LONGEST} are read")
    try:
        loader = _Loader(text)
        found = []
        while loader.check_node():
            node = loader.get_node()
            if problems := list(_problems(node)):
                raise InputError([f"{where}: {problem}" for problem in problems])
            found.append(loader.construct_document(node))
    except InputError:
        raise
    except Exception as error:  # besides its own, whatever a constructor meets: a date without its month
        raise InputError(f"{where} is not YAML that can be read: {_one_line(error)}") from error
    return [document for document in found if document is not None]


class _Loader(yaml.SafeLoader):
    """The safe loader, with a bound on depth that is checked while the text is parsed."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """One value, and all within it."""
        self._depth += 1
        if self._depth > DEEPEST:
            line = self.peek_event().start_mark.line + 1
            raise yaml.YAMLError(f"values are nested more than {DEEPEST} deep in line {line}")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _problems(root: Any) -> Iterator[str]:
    """Keys given twice, values that hold themselves, and too many values."""
    sizes: dict[int, int] = {}
    yield from _walk(root, sizes, set())
    if sizes.get(id(root), 0) > MOST:
        yield f"it stands for {sizes[id(root)]} values, through aliases that repeat others; at most {MOST} are read"


def _walk(node: Any, sizes: dict[int, int], within: set[int]) -> Iterator[str]:
    """Goes through a value once, however often aliases repeat it, and notes how many values it stands for."""
    if id(node) in sizes:
        return
    if id(node) in within:
        sizes[id(node)] = 1
        yield f"the value in line {node.start_mark.line + 1} holds itself, through an alias"
        return
    within.add(id(node))
    inner: list[Any] = []
    if isinstance(node, yaml.SequenceNode):
        inner = list(node.value)
    elif isinstance(node, yaml.MappingNode):
        inner = [part for pair in node.value for part in pair]
        yield from _repeated(node)
    for child in inner:
        yield from _walk(child, sizes, within)
    within.discard(id(node))
    sizes[id(node)] = 1 + sum(sizes[id(child)] for child in inner)


def _repeated(node: Any) -> Iterator[str]:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            named, line = (key.tag, key.value), key.start_mark.line + 1
            if named in lines:
                yield f"key {key.value!r} is given twice, in lines {lines[named]} and {line}"
            lines.setdefault(named, line)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__

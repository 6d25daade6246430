"""The tokenizer of a merged model: a source's own, or one with the tokens of all of them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.checkpoints import read_optional
from evomerge.merging.vocabulary.extended import NewToken, extended, write_extended
from evomerge.merging.vocabulary.special_ids import special_ids
from evomerge.merging.vocabulary.stored import TokenizerSource, load_tokenizer, state_of
from evomerge.recipe import Tokenizer


@dataclass(frozen=True)
class MergedTokenizer:
    """A source's tokenizer, with tokens of others behind its own; see :class:`TokenizerSource`.

    Attributes:
        own: The source's tokenizer.
        place: The place of that source: 0 for the base, 1 and up for the sources.
        new: The tokens behind its own, in the order of their ids.
        others: The tokenizers that they come from.
        replaced: The tokenizer of the model that the config is from, where that is another source; else None.
        digest: Stands for the tokens of this and of all sources.
    """

    own: TokenizerSource
    place: int
    new: tuple[NewToken, ...]
    others: tuple[TokenizerSource, ...]
    replaced: TokenizerSource | None = None
    digest: str = ""

    @functools.cached_property
    def ids(self) -> Mapping[str, int]:
        """Token to id, added tokens included."""
        first = max(self.own.ids.values(), default=-1) + 1
        return {**self.own.ids, **{token.content: first + number for number, token in enumerate(self.new)}}

    @property
    def added(self) -> Mapping[str, Mapping[str, Any]]:
        """The tokens that were added to its vocabulary, each with its properties."""
        new = {token.content: token.added for token in self.new if token.added is not None}
        return {**self.own.added, **new}

    @property
    def templates(self) -> Path:
        """The folder that its chat templates lie in."""
        return self.own.templates

    def load(self) -> Any:
        """The tokenizer, as transformers loads it from the merged model's folder."""
        with tempfile.TemporaryDirectory() as folder:
            self.write(Path(folder))
            return load_tokenizer(Path(folder))

    def special_ids(self, name: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """A config or generation config with the ids that its tokens have here.

        Args:
            name: The file's name.
            content: What it says.
        """
        if self.replaced is None:
            return dict(content)
        said = read_optional(self.templates / name) or read_optional(self.templates / "config.json")
        return special_ids(content, self.replaced.ids, self.ids, said)

    def write(self, folder: Path) -> None:
        """Writes its files into a folder: the source's own byte for byte where no token is new.

        Raises:
            InputError: If transformers cannot load the tokenizers, or would give tokens other ids than the merged
                embeddings have for them.
        """
        if not self.new:
            self.own.write(folder)
            return
        tokenizer = self.own.load()
        states = [state_of(other.load(), repr(str(other.templates))) for other in self.others]
        state = extended(state_of(tokenizer, repr(str(self.templates))), self.new, states, self.ids)
        write_extended(tokenizer, state, self.ids, folder)


def merged_tokenizer(tokenizer: Tokenizer, members: Sequence[tuple[TokenizerSource, int] | None]) -> MergedTokenizer:
    """Works out the tokenizer that a recipe asks for.

    The union of several vocabularies is the first one, then the pieces of text that others have, source by source in
    the order of their ids, then the tokens that were added to them. Tokens without an embedding are left out of it.

    Args:
        tokenizer: What the recipe says.
        members: The base, or None, and the sources: the tokenizer of each, and the rows of its embeddings.

    Raises:
        InputError: If some tokenizer cannot be read.
    """
    first = 0 if members[0] is not None else 1
    place = tokenizer.source + 1 if isinstance(tokenizer.source, int) else first
    chosen = members[place]
    assert chosen is not None
    own = chosen[0]
    new: dict[str, NewToken] = {}
    others: list[TokenizerSource] = []
    if tokenizer.source == "union":
        rest = {id(member[0]): member for at, member in enumerate(members) if member is not None and at != place}
        found: list[tuple[int, TokenizerSource, Mapping[str, Any], list[str]]] = []
        for source, rows in rest.values():
            missing = [token for token, at in _ordered(source.ids) if at < rows and token not in own.ids]
            if missing:
                found.append((len(others), source, source.added, missing))
                others.append(source)
        added = {token for _, _, special, missing in found for token in missing if token in special}
        for number, _, _, missing in found:
            _first_of(new, (NewToken(token, number) for token in missing if token not in added))
        for number, _, special, missing in found:
            _first_of(new, (NewToken(token, number, special[token]) for token in missing if token in special))
    _first_of(new, (NewToken(token, None, {}) for token in tokenizer.tokens if token not in own.ids))
    usual = members[first]
    replaced = None if usual is None or usual[0] is own else usual[0]
    return MergedTokenizer(own, place, tuple(new.values()), tuple(others), replaced)


def _ordered(ids: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(ids.items(), key=lambda pair: pair[1])


def _first_of(new: dict[str, NewToken], tokens: Iterable[NewToken]) -> None:
    for token in tokens:
        new.setdefault(token.content, token)

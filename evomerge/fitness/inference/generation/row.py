"""One prompt that is being answered: what is read, what is drafted, what is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from evomerge.fitness.inference.generation.answer_trie import TrieNode, branches, trie
from evomerge.fitness.inference.generation.draft_tree import DraftTree
from evomerge.fitness.inference.generation.ends import Ends
from evomerge.fitness.inference.generation.lookup import Lookup
from evomerge.fitness.inference.generation.segments import Segment
from evomerge.fitness.inference.generation.trust import Source, Trust
from evomerge.fitness.inference.requests import Generated, Prompt

Tokens = tuple[int, ...]
_LOOKED_UP = 1024  # last tokens of a prompt that drafts are looked up in


@dataclass(eq=False)
class Choices:
    """Choices of a model behind some tokens of a pass.

    Attributes:
        tokens: The most probable next token of each.
        close: Whether another one was so probable that rounding might change the choice.
        finite: Whether the logits were numbers.
    """

    tokens: Sequence[int]
    close: Sequence[bool]
    finite: Sequence[bool]


@dataclass(eq=False)
class Row:
    """A prompt that is being answered.

    Attributes:
        index: Its place among the prompts.
        prompt: The prompt.
        slot: Where its cache lies.
        length: Tokens in its cache.
        pending: Tokens that are certain and not read yet; at least one while it is open.
        ends: Where its answer ends.
        final: Tokens that end it.
        known: Answers that are known of its item, the newest last.
    """

    index: int
    prompt: Prompt
    slot: int
    length: int
    pending: list[int]
    ends: Ends
    final: set[int]
    known: Sequence[Tokens]
    answer: list[int] = field(default_factory=list)
    ended: bool = False
    stopped: bool = False
    close: bool = False
    finite: bool = True
    _alone: bool = False
    _node: TrieNode | None = None
    _lookup: Lookup | None = None
    _draft: DraftTree = field(default_factory=DraftTree)
    _source: Source | None = None

    def __post_init__(self) -> None:
        """Stands at the beginning of what is known."""
        self._node = trie(self.known) if self.known else None

    @property
    def left(self) -> int:
        """Tokens that it may still generate."""
        return self.prompt.max_new - len(self.answer)

    def segment(self, trust: Trust, least: float, most: int) -> Segment:
        """The tokens that it has read in the next pass: its pending ones and a draft behind them.

        Args:
            trust: How far drafts are trusted.
            least: Least probability of a drafted token.
            most: Most drafted tokens.
        """
        # The token behind the last drafted one is chosen as well.
        self._draft, self._source = self._drafted(trust, least, min(most, self.left - 1))
        count, drafted = len(self.pending), self._draft
        tokens = np.asarray([*self.pending, *drafted.tokens])
        depths = np.concatenate([np.arange(count), count + drafted.depths()])
        ends = np.concatenate([np.full(count, len(tokens)), count + drafted.ends()])
        return Segment(self.slot, self.length, tokens, depths, ends)

    def _drafted(self, trust: Trust, least: float, most: int) -> tuple[DraftTree, Source | None]:
        if self._alone:
            return DraftTree(), None
        if self._node is not None and self._node.children:
            return branches(self._node, lambda weight: trust.of(Source(True, weight)), least, most), None
        if most < 1 or not self.answer:
            return DraftTree(), None
        if self._lookup is None:
            self._lookup = Lookup(self.prompt.tokens[-_LOOKED_UP:].tolist(), self.known)
            self._lookup.extend(self.answer)
        found, agreed = self._lookup.find(most)
        if not agreed:
            return DraftTree(), None
        source = Source(False, agreed)
        return DraftTree.chain(found[: trust.length(source, least)]), source

    def take(self, choices: Choices, trust: Trust) -> list[int]:
        """Takes what the model chose behind the last pending token and behind each drafted one.

        Args:
            choices: One for each of them, in the order of the segment.
            trust: Learns from it.

        Returns:
            Indices in the segment of the tokens whose keys and values are kept.
        """
        # A drafted token that overflows spoils the tokens before it too, as masks are added. Without drafts it is seen
        # whether the answer itself comes to it.
        if self._draft.tokens and not all(choices.finite):
            self._alone = True
            return []
        count, children = len(self.pending), self._draft.children()
        kept, at = list(range(count)), -1
        new: list[int] = []
        while not self.ended:
            token = int(choices.tokens[at + 1])
            self.finite = self.finite and bool(choices.finite[at + 1])
            self.close = self.close or bool(choices.close[at + 1])
            new.append(token)
            self._append(token)
            self._follow(token, trust)
            after = children.get(at, {}).get(token)
            if self.ended or after is None:
                break
            at = after
            kept.append(count + at)
        self._learn(trust, taken=len(kept) - count, missed=at in children)
        if self._lookup is not None:
            self._lookup.extend(new)
        self.length += len(kept)
        self.pending = new[-1:]
        return kept

    def _append(self, token: int) -> None:
        self.answer.append(token)
        if token in self.final or self.ends.stopped([self.answer[-self.ends.window :]])[0]:
            self.ended = self.stopped = True
        elif not self.left or not self.finite or self.close:
            self.ended = True

    def _follow(self, token: int, trust: Trust) -> None:
        """Goes on in what is known, or leaves it."""
        if self._node is None or not self._node.children:
            self._node = None
            return
        source, self._node = Source(True, self._node.weight), self._node.children.get(token)
        trust.learn(source, self._node is not None, missed=self._node is None)

    def _learn(self, trust: Trust, *, taken: int, missed: bool) -> None:
        if self._source is not None:
            trust.learn(self._source, taken, missed=missed and not self.ended)

    def generated(self) -> Generated:
        """The answer, once it has ended."""
        return Generated(self.ends.text(self.answer), not self.stopped, self.finite, tuple(self.answer))

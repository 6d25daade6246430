"""Drafts: what follows in known answers, what followed the same tokens elsewhere, and how far each is trusted."""

from __future__ import annotations

from evomerge.fitness.inference.generation.answer_trie import branches, trie
from evomerge.fitness.inference.generation.draft_tree import DraftTree
from evomerge.fitness.inference.generation.lookup import MOST, Lookup
from evomerge.fitness.inference.generation.trust import Source, Trust


def test_branches_are_those_that_are_likely_the_heaviest_first() -> None:
    root = trie([(1, 2, 3, 9), (1, 2, 3, 9), (1, 5, 6, 9), (8, 9)])
    everything = branches(root, lambda weight: 1.0, 0.0, 100)
    assert everything.tokens == [1, 2, 3, 5, 6, 8]  # the last tokens of answers lead nowhere
    assert everything.parents == [-1, 0, 1, 0, 3, -1]
    assert branches(root, lambda weight: 1.0, 0.3, 100).tokens == [1, 2, 3]
    assert branches(root, lambda weight: 0.8, 0.45, 100).tokens == [1]  # 3/4 * 0.8, then * 2/3 * 0.8
    assert branches(root, lambda weight: 1.0, 0.0, 4).tokens == [1, 2, 3, 5]
    assert branches(root.children[1], lambda weight: 1.0, 0.6, 100).tokens == [2, 3]


def test_the_shape_of_a_tree() -> None:
    tree = DraftTree([1, 2, 3, 4, 5], [-1, 0, 1, 0, -1])
    assert tree.depths().tolist() == [0, 1, 2, 1, 0]
    assert tree.ends().tolist() == [4, 3, 3, 4, 5]
    assert tree.children() == {-1: {1: 0, 5: 4}, 0: {2: 1, 4: 3}, 1: {3: 2}}
    assert DraftTree.chain([7, 8]).ends().tolist() == [2, 2]


def test_the_longest_agreement_is_followed_and_of_equal_ones_the_newest() -> None:
    lookup = Lookup([1, 2, 3, 4, 5], [(7, 3, 4, 6, 6), (2, 3, 4, 8, 9)])
    lookup.extend([2, 3, 4])
    assert lookup.find(10) == ((8, 9), 3)
    assert lookup.find(1) == ((8,), 3)
    lookup.extend([5, 2, 3])
    tokens, agreed = lookup.find(10)
    assert (list(tokens), agreed) == ([4, 5, 2, 3], 6)
    lookup.extend([11])
    assert lookup.find(10) == ((), 0)


def test_agreements_are_compared_no_further_than_they_tell() -> None:
    lookup = Lookup([5] * 100, [])
    lookup.extend([5])
    assert lookup.find(3)[1] == MOST


def test_trust_follows_what_was_taken() -> None:
    trust, agreed = Trust(), Source(known=False, support=4)
    assert trust.of(agreed) == trust.of(Source(known=False, support=5))
    before = trust.of(agreed)
    trust.learn(Source(known=False, support=5), 30, missed=False)
    assert trust.of(agreed) > before
    for _ in range(100):
        trust.learn(agreed, 0, missed=True)
    assert trust.of(agreed) < 0.35
    assert trust.length(agreed, 0.5) == 0
    few = Source(known=False, support=2)
    assert trust.of(few) == Trust().of(few)


def test_many_answers_are_trusted_more_than_one() -> None:
    trust = Trust()
    shares = [trust.of(Source(known=True, support=weight)) for weight in (1, 2, 3, 4, 8, 16)]
    assert shares == sorted(shares)
    assert shares[1] == shares[2]
    assert trust.length(Source(known=True, support=8), 0.5) > trust.length(Source(known=True, support=1), 0.5)

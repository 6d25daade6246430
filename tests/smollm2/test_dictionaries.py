"""The words of WordNet and the CMU Pronouncing Dictionary: taken right, asked right, disjoint from training."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from experiments.smollm2.data import TASKS_FOLDER, jsonl
from experiments.smollm2.dictionaries import extract, items

INDEX = [
    "lark%1:05:00:: 01529672 1 0",
    "lark%2:29:00:: 02077656 1 0",  # a verb, too
    "goshawk%1:05:00:: 01609284 1 0",
    "crane%1:05:00:: 02012849 5 0",
    "crane%1:06:00:: 03126707 4 0",  # two kinds
    "poussin%1:18:00:: 11252392 1 0",  # a name
    "ant%1:05:00:: 02219486 1 6",  # too short
]
NOUNS = [
    "  1 This software and database is being provided to you",
    "01609284 05 n 02 goshawk 0 Accipiter_gentilis 0 001 @ 01608432 n 0000 | large hawk",
    "01529672 05 n 01 lark 0 001 @ 01525720 n 0000 | a songbird",
    "11252392 18 n 02 Poussin 0 Nicolas_Poussin 0 001 @i 10453533 n 0000 | French painter",
]


def test_nouns_of_one_kind_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "WORDS_OF_A_KIND", 1)
    monkeypatch.setattr(extract, "KINDS", {"05": "animal"})
    assert extract.kinds(INDEX, NOUNS) == [("goshawk", "animal")]


def test_words_with_one_pronunciation_are_taken_without_stress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "WORDS_WITH_SOUNDS", 1)
    lines = ["goshawk G AA1 S HH AO2 K", "crane K R EY1 N # a bird", "goshawk(2) G OW1 S HH AO2 K", "vixens V IH1 K S"]
    assert extract.sounds(lines, ["goshawk", "crane"]) == [("crane", "K R EY N")]


def test_the_committed_tables_have_every_word_once() -> None:
    assert Counter(kind for _, kind in items.table("kinds")) == dict.fromkeys(extract.KINDS.values(), 540)
    for skill in items.QUESTIONS:
        words = [word for word, _ in items.table(skill)]
        assert len(words) == len(set(words)) == 5400


@pytest.mark.parametrize("skill", items.QUESTIONS)
def test_items_are_the_committed_ones_with_one_right_answer(skill: str) -> None:
    found = items.evaluation_items(skill)
    assert (TASKS_FOLDER / f"{skill}.jsonl").read_text(encoding="utf-8") == jsonl(found)
    answers = dict(items.table(skill))
    places = Counter(item.answer for item in found)
    assert all(0.2 < places[place] / len(found) < 0.3 for place in range(4))
    for item in found:
        assert len(set(item.options)) == 4
        assert item.options[item.answer] == answers[item.key]
        assert item.question.splitlines()[0] == f"Word: {item.key}"


@pytest.mark.parametrize("skill", items.QUESTIONS)
def test_no_evaluated_word_is_trained_on(skill: str) -> None:
    evaluated = {item.question for item in items.evaluation_items(skill)}
    examples = list(islice(items.training_examples(skill), 2 * 4200))
    assert not evaluated & {prompt for prompt, _ in examples}
    assert Counter(examples[:4200]) == Counter(examples[4200:])  # each word once before any comes again
    assert examples[:4200] != examples[4200:]


def test_wrong_sounds_have_a_sound_of_the_same_set_in_places() -> None:
    for item in items.evaluation_items("sounds"):
        right = item.options[item.answer].split()
        wrong = [option.split() for option in item.options if option.split() != right]
        changed = sorted(sum(a != b for a, b in zip(option, right, strict=True)) for option in wrong)
        assert changed[:2] == [1, 1]
        assert changed[2] <= 2

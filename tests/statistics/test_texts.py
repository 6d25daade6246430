"""Calibration texts: read, tokenised as prompts are, cut, and refused with everything that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from evomerge.errors import InputError
from evomerge.fitness.inference.encoding import Encoder
from evomerge.statistics import Calibration
from tests.building import VOCABULARY, tiny_tokenizer


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer(folder)
    return Encoder(transformers.AutoTokenizer.from_pretrained(folder), 512, rows=VOCABULARY)


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_the_loss_is_on_answers(encoder: Encoder) -> None:
    texts = [{"text": "abcd"}, {"prompt": "2 + 2 = ", "answer": "4"}]
    plain, pair = Calibration.of_texts(texts, encoder).passages
    assert plain.ids.tolist() == encoder.encode("abcd")
    assert plain.scored.tolist() == [False, True, True, True]
    # As lm-eval splits it: the blank at the end of a context belongs to the answer.
    asked = encoder.continuation("2 + 2 = ", "4")
    assert pair.ids.tolist() == asked.tokens.tolist()
    assert pair.scored.sum() == asked.scored == 2


def test_a_chat_is_written_by_the_template(encoder: Encoder) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "you"}]
    [passage] = Calibration.of_texts([{"messages": messages}], encoder).passages
    assert encoder.tokenizer.decode(passage.ids[passage.scored]) == "\nyou"
    assert encoder.tokenizer.decode(passage.ids).startswith("<bos>user: hi<eos>")


def test_long_texts_are_cut(encoder: Encoder) -> None:
    texts = [{"text": "abcdefgh"}, {"prompt": "abcdefgh", "answer": "xy"}, {"prompt": "ab", "answer": "tuvwxyz"}]
    found = Calibration.of_texts(texts, encoder, tokens=4)
    assert [encoder.tokenizer.decode(one.ids) for one in found.passages] == ["abcd", "ghxy", "btuv"]
    assert [one.scored.tolist() for one in found.passages] == [
        [False, True, True, True],
        [False, False, True, True],
        [False, True, True, True],
    ]
    assert found.cut == 3


def test_the_digest_is_of_tokens_and_of_what_is_scored(encoder: Encoder) -> None:
    one, same = (Calibration.of_texts([{"text": "abcd"}, {"text": "ef"}], encoder) for _ in range(2))
    turned = Calibration.of_texts([{"text": "ef"}, {"text": "abcd"}], encoder)
    passage = one.passages[0]
    scored = Calibration((type(passage)(passage.ids, np.array([False, False, True, True])), one.passages[1]), 512)
    assert one.digest == same.digest
    assert len({one.digest, turned.digest, scored.digest}) == 3


def test_files_are_read_in_order(tmp_path: Path, encoder: Encoder) -> None:
    files = [
        write(tmp_path / "a.jsonl", {"text": "ab"}, "", {"text": "cd"}),
        write(tmp_path / "b.jsonl", {"text": "ef"}),
    ]
    found = Calibration.read(files, encoder)
    assert [encoder.tokenizer.decode(one.ids) for one in found.passages] == ["ab", "cd", "ef"]
    assert len(Calibration.read(files, encoder, sequences=2).passages) == 2


def test_all_problems_are_named(tmp_path: Path, encoder: Encoder) -> None:
    bad = write(
        tmp_path / "bad.jsonl",
        "{",
        [1],
        {"txt": "a"},
        {"text": "a", "prompt": "b", "answer": "c"},
        {"prompt": "b", "answer": 3},
        {"messages": [{"role": "user", "content": "hi"}]},
    )
    empty = write(tmp_path / "empty.jsonl")
    with pytest.raises(InputError) as caught:
        Calibration.read([bad, empty, tmp_path / "none.jsonl"], encoder)
    problems = caught.value.problems
    assert len(problems) == 8
    assert all(f"line {number}: expected" in problems[number - 1] for number in range(1, 7))
    assert "its keys are txt" in problems[2]
    assert "has no texts" in problems[6]
    assert "No such file" in problems[7]
    with pytest.raises(InputError, match="text 1: 'a' has 1 tokens; expected two"):
        Calibration.of_texts([{"text": "a"}], encoder)


def test_a_token_without_an_embedding_is_refused(encoder: Encoder) -> None:
    small = Encoder(encoder.tokenizer, 512, rows=10)
    with pytest.raises(InputError, match="beyond the model's embedding of 10 rows"):
        Calibration.of_texts([{"text": "abc"}], small)

"""Texts that the tokenizer does not know are pointed out."""

from __future__ import annotations

import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from evomerge.errors import InputError
from evomerge.fitness.inference.encoding import Encoder
from evomerge.fitness.tasks.items import Item
from evomerge.fitness.tokenised import tokenise


def test_texts_that_a_tokenizer_does_not_know_are_pointed_out() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "</s>": 1, "river": 2, "stone": 3, "?": 4}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", eos_token="</s>")
    known, strange = ("river", "stone"), ("fluss", "stein")

    def warnings(options: tuple[str, str]) -> tuple[str, ...]:
        asked = [((f"{a} {b} ?", " river"), (f"{a} {b} ?", " stone")) for a in options for b in options]
        items = [Item(str(n), {}, ("loglikelihood",) * 2, pair, 1, (), (), "") for n, pair in enumerate(asked)]
        return tokenise(Encoder(tokenizer, 32), (("quiz", item) for item in items)).warnings

    assert warnings(known) == ()
    (same,) = warnings(strange)  # half of the tokens, the mark and the option, are known
    assert same.startswith("task 'quiz': 4 of 4 items are the same tokens")
    assert same.endswith("the tokenizer does not know this text")
    one_known = warnings(("fluss stein berg wald", "stein"))
    assert any("tokens are the unknown token: the tokenizer does not know this text" in told for told in one_known)


def test_items_that_were_cut_to_the_same_tokens_are_no_fault_of_the_tokenizer() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "</s>": 1, "river": 2, "stone": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", eos_token="</s>")
    asked = [((f"{first} {'stone ' * 40}", "river"),) for first in ("river", "stone")]
    items = [("quiz", Item(str(n), {}, ("loglikelihood",), pair, 1, (), (), "")) for n, pair in enumerate(asked)]
    found = tokenise(Encoder(tokenizer, 16), items)
    assert (found.cut, found.warnings) == ({"quiz": 2}, ())


def test_tokens_beyond_the_embedding_are_named() -> None:
    words = Tokenizer(models.WordLevel({"</s>": 0, "river": 1, "stone": 2, "cloud": 3}, unk_token="</s>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>")
    greedy = {"until": ["x"], "max_gen_toks": 4}
    asked: list[tuple[str, tuple[tuple[object, ...], ...]]] = [
        ("loglikelihood", (("river", " stone"), ("river", " river"))),
        ("loglikelihood", (("river stone", " cloud"), ("river", " river"))),  # a token that is scored and never read
        ("loglikelihood_rolling", (("river cloud river",),)),
        ("generate_until", (("cloud", greedy),)),
    ]
    items = [
        (f"task{n}", Item(str(n), {}, (kind,) * len(arguments), arguments, 1, (), (), ""))
        for n, (kind, arguments) in enumerate(asked)
    ]
    assert len(tokenise(Encoder(tokenizer, 32, rows=4), items).requests) == 4
    with pytest.raises(InputError) as refused:
        tokenise(Encoder(tokenizer, 32, rows=3), items)
    assert [problem.split(":")[0] for problem in refused.value.problems] == [
        "task 'task1', item 1",
        "task 'task2', item 2",
        "task 'task3', item 3",
    ]
    assert all(
        "token 3 ('cloud') is beyond the model's embedding: the tokenizer has 4 ids but the model 3 rows" in problem
        for problem in refused.value.problems
    )

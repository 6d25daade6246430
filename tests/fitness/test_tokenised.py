"""Texts that the tokenizer does not know are pointed out."""

from __future__ import annotations

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

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

"""Token boundaries, windows and limits of encoded texts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from evomerge.errors import InputError
from evomerge.fitness.inference.encoding import Encoder, context_length, reads_ahead
from tests.fitness.conftest import WORDS

TEXTS = ["", "a river", "a river  ", "stone\n", "<s>apple cloud", "<s>", "  "]
CONTINUATIONS = [" apple", "apple", "s", " river stone", "\n\nlemon"]


@pytest.fixture(scope="module", params=["adds_bos", "plain"])
def word_tokenizer(request: pytest.FixtureRequest) -> Any:
    """A tokenizer that merges across blanks' neighbours and may put a token before every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=285, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([f"{one} {other}\n\n" for one in WORDS for other in WORDS], trainer)
    if request.param == "adds_bos":
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture
def theirs(word_tokenizer: Any) -> HFLM:
    config = transformers.LlamaConfig(
        vocab_size=400, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    model = transformers.LlamaForCausalLM(config)
    return HFLM(pretrained=model, tokenizer=copy.deepcopy(word_tokenizer), max_length=32)


@pytest.mark.parametrize("context", TEXTS)
@pytest.mark.parametrize("text", CONTINUATIONS)
def test_boundaries_are_those_of_lm_eval(context: str, text: str, word_tokenizer: Any, theirs: HFLM) -> None:
    ours = Encoder(word_tokenizer, 32).continuation(context, text)
    if context:
        before, after = theirs._encode_pair(context, text)
        before = before or [theirs.prefix_token_id]  # there, a context of blanks alone is an error
    else:
        before, after = [theirs.prefix_token_id], theirs.tok_encode(text, add_special_tokens=False)
    assert ours.tokens.tolist() == before + after
    assert ours.scored == len(after)


def test_tokens_that_reach_over_the_boundary_belong_to_the_context(word_tokenizer: Any) -> None:
    encoder = Encoder(word_tokenizer, 32)
    whole, alone = encoder.encode("apple stone"), encoder.encode("apple s")
    assert whole[: len(alone)] != alone
    assert encoder.continuation("apple s", "tone").tokens.tolist() == [*alone, *whole[len(alone) :]]


def test_long_contexts_lose_their_beginning(word_tokenizer: Any) -> None:
    encoder = Encoder(word_tokenizer, 16)
    context = " ".join(WORDS * 3)
    whole = encoder.encode(context + " apple")
    request = encoder.continuation(context, " apple")
    assert request.tokens.tolist() == whole[-17:]
    assert encoder.cut == 1


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 17, 30])
def test_rolling_windows_are_those_of_lm_eval(length: int, word_tokenizer: Any) -> None:
    encoder = Encoder(word_tokenizer, 8)
    text = "".join(chr(ord("!") + place) for place in range(length))
    tokens = encoder.encode(text)
    expected = [
        make_disjoint_window(pair) for pair in get_rolling_token_windows(tokens, encoder.prefix, 8, context_len=1)
    ]
    ours = encoder.rolling(text)
    assert [(w.tokens[: -w.scored].tolist(), w.tokens[-w.scored :].tolist()) for w in ours] == expected
    assert sum(window.scored for window in ours) == len(tokens)


def test_nothing_to_score_is_an_error(word_tokenizer: Any) -> None:
    encoder = Encoder(word_tokenizer, 16)
    with pytest.raises(InputError, match="no token of its own"):
        encoder.continuation("a", "")
    nameless = copy.deepcopy(word_tokenizer)
    nameless.bos_token = nameless.eos_token = None
    with pytest.raises(InputError, match="neither a bos_token nor an eos_token"):
        Encoder(nameless, 16)


def test_longest_sequence_comes_from_the_model_first(word_tokenizer: Any) -> None:
    assert context_length(transformers.GPT2Config(n_positions=77), word_tokenizer) == 77
    assert context_length({"text_config": {"max_position_embeddings": 5}}, word_tokenizer) == 5
    assert context_length(None, word_tokenizer) == 2048
    limited = copy.deepcopy(word_tokenizer)
    limited.model_max_length = 99
    assert context_length({}, limited) == 99


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (transformers.BertConfig(), "the model (bert) reads texts in both directions (is_decoder is not set"),
        (transformers.GemmaConfig(use_bidirectional_attention=True), "(use_bidirectional_attention is true"),
        (transformers.BertConfig(is_decoder=True), None),
        (transformers.GPTNeoXConfig(), None),
        (transformers.LlamaConfig(), None),
        ({"model_type": "mystery"}, None),
        (None, None),
    ],
)
def test_models_that_see_the_answer(config: Any, told: str | None) -> None:
    found = reads_ahead(config)
    assert found is None if told is None else told in str(found)

"""The parts under the suite: token boundaries, windows, layouts, samples, smooth metrics."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from evomerge.errors import InputError
from evomerge.fitness.inference.batches import Limits
from evomerge.fitness.inference.encoding import Encoder, context_length
from evomerge.fitness.inference.planner import lay_out
from evomerge.fitness.inference.requests import Continuation, Likelihood, Prompt
from evomerge.fitness.inference.scoring import BatchScorer
from evomerge.fitness.splits import item_ids, sample, split_of, strata
from evomerge.fitness.tasks.contamination import warning
from evomerge.fitness.tasks.items import Item
from evomerge.fitness.tasks.smooth_metrics import choice_metrics
from evomerge.fitness.tokenised import tokenise
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


def requests(lengths: list[tuple[int, int]], seed: int = 0) -> list[Continuation]:
    draw = np.random.default_rng(seed)
    return [Continuation(draw.integers(3, 50, size=length).astype(np.int32), scored) for length, scored in lengths]


def test_equal_inputs_are_read_once() -> None:
    context = [5, 6, 7, 8]
    options = [Continuation(np.asarray([*context, option], dtype=np.int32), 1) for option in (9, 10, 11)]
    layout = lay_out([*options, options[0]], Limits(50))
    assert layout.forward_tokens == len(context)
    assert layout.likelihoods[0].target.tolist() == [9, 10, 11, 9]
    assert layout.most_positions == 1


def test_scored_positions_are_the_asked_ones(model: Any, tokenizer: Any) -> None:
    asked = requests([(9, 8), (12, 1), (12, 4), (5, 2)])
    scorer = BatchScorer(tokenizer, Limits(259))
    answers = scorer.answer(model, scorer.lay_out(asked))
    for request, answer in zip(asked, answers, strict=True):
        tokens = torch.from_numpy(request.tokens.astype(np.int64))
        with torch.inference_mode():
            logprobs = model(tokens[None, :-1]).logits[0].log_softmax(-1)
        picked = logprobs[torch.arange(len(tokens) - 1), tokens[1:]][-request.scored :]
        assert isinstance(answer, Likelihood)
        assert answer.logprob == pytest.approx(float(picked.sum()), abs=1e-4)
        assert answer.greedy == bool((logprobs.argmax(-1) == tokens[1:])[-request.scored :].all())


def test_generated_texts_do_not_depend_on_their_batch(model: Any, tokenizer: Any) -> None:
    draw = np.random.default_rng(1)
    prompts = [Prompt(draw.integers(70, 90, size=n).astype(np.int32), ("e",), 10) for n in (3, 9, 20, 4)]
    together = BatchScorer(tokenizer, Limits(259))
    alone = BatchScorer(tokenizer, Limits(259, rows=1))
    assert len(together.lay_out(prompts).prompts) == 1
    assert len(alone.lay_out(prompts).prompts) == 4
    answers = together.answer(model, together.lay_out(prompts))
    assert answers == alone.answer(model, alone.lay_out(prompts))
    assert len(set(answers)) > 1


def test_generation_heeds_the_model_and_the_options(model: Any, tokenizer: Any) -> None:
    scorer = BatchScorer(tokenizer, Limits(259))
    tokens = np.asarray([70, 71, 72], dtype=np.int32)
    free, penal = Prompt(tokens, (), 12), Prompt(tokens, (), 12, {"repetition_penalty": 5.0})
    # Two kinds of requests in one layout never share a batch.
    assert len(scorer.lay_out([free, penal]).prompts) == 2
    first, second = scorer.answer(model, scorer.lay_out([free, penal]))
    assert first != second
    # The model's own end token ends an answer, and what follows is padding.
    end = tokenizer.encode(first.text)[1]
    model.generation_config.eos_token_id = [2, end]
    ended = scorer.answer(model, scorer.lay_out([free]))[0]
    assert (ended.text, ended.truncated) == (first.text[: first.text.index(tokenizer.decode(end))], False)


def test_ids_name_content_and_count_twins() -> None:
    docs: list[dict[str, Any]] = [{"q": 1, "a": "x"}, {"a": "x", "q": 1}, {"q": 2, "a": "x"}]
    ids = item_ids("t", docs)
    assert ids[1] == f"{ids[0]}-2"
    assert len(ids[0]) == 16
    assert ids[2] != ids[0]
    assert item_ids("u", docs)[0] != ids[0]
    assert split_of(ids[0], {"search": 0.5, "selection": 0.2, "test": 0.3}) == split_of(
        ids[1], {"search": 0.5, "selection": 0.2, "test": 0.3}
    )
    assert item_ids("t", [{"blob": b"1", "array": np.arange(2)}]) != item_ids(
        "t", [{"blob": b"2", "array": np.arange(2)}]
    )


def test_splits_have_their_shares() -> None:
    ids = item_ids("t", [{"n": n} for n in range(4000)])
    shares = Counter(split_of(item, {"search": 0.5, "selection": 0.2, "test": 0.3}) for item in ids)
    assert {split: round(count / 4000, 1) for split, count in shares.items()} == {
        "search": 0.5,
        "selection": 0.2,
        "test": 0.3,
    }
    assert {split_of(item, {"search": 1.0}) for item in ids} == {"search"}


def test_samples_are_stratified_nested_and_seeded() -> None:
    ids = item_ids("t", [{"n": n} for n in range(600)])
    labels = {item: "abc"[min(place % 6, 2)] for place, item in enumerate(ids)}  # 1/6 a, 1/6 b, 4/6 c
    layers = strata(labels, dict.fromkeys(ids, 4))
    drawn = sample(ids, layers, 60, seed=0)
    counts = Counter(labels[item] for item in drawn)
    assert abs(counts["a"] - 10) <= 1
    assert abs(counts["b"] - 10) <= 1
    assert set(sample(ids, layers, 30, seed=0)) < set(drawn)
    assert set(sample(ids, layers, 60, seed=1)) != set(drawn)
    assert list(drawn) == [item for item in ids if item in set(drawn)]
    assert sample(ids, layers, 600, seed=0) == tuple(ids)


def test_answers_that_are_no_labels_are_no_strata() -> None:
    ids = item_ids("t", [{"n": n} for n in range(50)])
    free = strata({item: f"answer {item}" for item in ids}, dict.fromkeys(ids, 0))
    assert len(set(free.values())) == 1
    assert strata(dict.fromkeys(ids, "yes"), {item: len(item) % 2 for item in ids})[ids[0]] == ("yes", 0)


def test_smooth_metrics_by_hand() -> None:
    # Probabilities 1/2, 1/4, 1/8, 1/8 among the options.
    logprobs = [-1.0, -1.0 - np.log(2), -1.0 - np.log(4), -1.0 - np.log(4)]
    one = choice_metrics(logprobs, [1])
    assert one["gold_logprob"] == pytest.approx(-1.0 - np.log(2))
    assert one["gold_prob"] == pytest.approx(0.25)
    assert one["brier_score"] == pytest.approx(0.5**2 + 0.75**2 + 2 * 0.125**2)
    two = choice_metrics(logprobs, [2, 3])
    assert two["gold_prob"] == pytest.approx(0.25)
    assert two["gold_logprob"] == pytest.approx(-1.0 - np.log(2))
    # Log-likelihoods of long texts have no probability that a float could hold.
    assert choice_metrics([-9000.0, -9001.0], [0])["gold_prob"] == pytest.approx(1 / (1 + np.exp(-1)))


@pytest.mark.parametrize(
    ("task", "dataset", "known"),
    [
        ("gsm8k", "openai/gsm8k", True),
        ("arc_easy", None, True),
        ("archery", None, False),
        (None, "allenai/ai2_arc", True),
        (None, "json", False),
        ("mmlu_anatomy", "cais/mmlu", True),
    ],
)
def test_well_known_names(task: str | None, dataset: str | None, known: bool) -> None:
    assert (warning(task, dataset, "test") is not None) is known


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

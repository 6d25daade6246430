"""Python objectives as users write them, for models that lm-eval does not ask: functions of a model and a tokenizer."""

from __future__ import annotations

from typing import Any

import torch

ALIKE = (("a cat sat", "a cat sits"), ("two and two", "2 and 2"), ("good morning", "good day"))
TEXTS = ("a cat sat on a mat", "two and two are four", "good morning to you")


def alikeness(model: Any, tokenizer: Any) -> float:
    """How much closer sentences that are alike lie than others: mean cosines of mean-pooled hidden states, apart."""
    left, right = (_vectors(model, tokenizer, [pair[side] for pair in ALIKE]) for side in (0, 1))
    cosines = left @ right.T
    return float(cosines.diagonal().mean() - cosines.mean())


def label_logprob(model: Any, tokenizer: Any) -> float:
    """Mean log-likelihood of a class for each text."""
    logits = model(**tokenizer(list(TEXTS), return_tensors="pt", padding=True)).logits
    return float(torch.log_softmax(logits, -1)[range(len(TEXTS)), [0, 1, 2]].mean())


def word_logprob(model: Any, tokenizer: Any) -> float:
    """Mean log-likelihood of the tokens of each text, given that text."""
    tokens = tokenizer(list(TEXTS), return_tensors="pt", padding=True)
    return -float(model(**tokens, labels=tokens["input_ids"]).loss)


def transcript_logprob(model: Any, tokenizer: Any) -> float:
    """Mean log-likelihood of each text, given a sound."""
    labels = tokenizer(list(TEXTS), return_tensors="pt", padding=True)["input_ids"]
    frames = 2 * model.config.max_source_positions
    sounds = torch.linspace(-1.0, 1.0, frames).sin().expand(len(TEXTS), model.config.num_mel_bins, frames)
    return -float(model(input_features=sounds, labels=labels).loss)


def _vectors(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    tokens = tokenizer(texts, return_tensors="pt", padding=True)
    hidden, mask = model(**tokens).last_hidden_state, tokens["attention_mask"][..., None]
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

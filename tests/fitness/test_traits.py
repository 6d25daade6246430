"""Traits of a model are a value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evomerge.fitness import (
    ModelTraits,
    Scorer,
    Sharing,
    TaskSuite,
)


def test_traits_are_found_out_once_and_given_on(suite: TaskSuite, model: Any) -> None:
    traits = ModelTraits.probe(model, suite)
    assert traits.sharing is not None
    assert traits.sharing.share
    assert ModelTraits.probe(model, suite) == traits
    assert Scorer(suite, traits).score(model, "test") == Scorer.of(model, suite).score(model, "test")
    plain = ModelTraits.probe(model, suite, "plain")
    assert plain.sharing == Sharing(False, "")
    assert Scorer(suite, plain).plan("search").forward_tokens > Scorer(suite, traits).plan("search").forward_tokens
    expected = ModelTraits.expected(suite.tokenizer, model.config)
    assert replace(traits, sharing=None, drafting=None, logits=expected.logits) == expected

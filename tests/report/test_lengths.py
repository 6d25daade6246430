"""Lengths of answers in the report: their unit, their marks, and limits that cut one model more than another."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from evomerge.evaluation import Ask, Evaluation, Objective, Response
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from evomerge.report import baseline_caveats, write
from evomerge.report.facts import Facts
from evomerge.report.members import BEATS
from evomerge.store import RunStore
from tests.report.run_folders import acc

MODELS, BASE = (CheckpointRef("a"), CheckpointRef("b")), CheckpointRef("base")
ITEMS = 60
SPACE = "\N{NO-BREAK SPACE}"
LENGTHS = tuple(Objective(f"t.{name}", ((1.0, f"t.{name}"),), False) for name in ("tokens", "truncated"))
# Mean length of each model's answers, and how many of them its limit cut.
BASELINES = {"base": (300, 2), "expert:a": (500, 40), "expert:b": (400, 3), "uniform": (450, 20)}
CANDIDATE = (200, 0)


def made(folder: Path, candidates: bool = True) -> RunStore:
    """A run of one candidate with short answers, which is confirmed."""
    manifest = {
        "objectives": [objective.to_json() for objective in (*acc("t.exact_match"), *LENGTHS)],
        "models": [{"label": name, "source": name, "fingerprint": name} for name in "ab"],
        "items": {"search": {"t": ["some"]}, "test": {"t": ["some"]}},
    }
    found = [(name, *row) for name, row in BASELINES.items()]
    found += [("", *CANDIDATE)] * candidates
    draw = np.random.default_rng(0)
    with RunStore.open(folder, manifest, {}) as store:
        for index, (name, tokens, cut) in enumerate(found):
            for split in ("search", "test") if candidates else ("search",):
                lengths = tokens + draw.integers(-9, 9, ITEMS)
                answers = [_answer(f"{split} {i:03d}", int(n), i < cut) for i, n in enumerate(lengths)]
                columns = {key: np.mean([one.metrics[key] for one in answers]) for key in answers[0].metrics}
                weights = {"weight": np.full((1, 2), index / 100)}
                recipe = Recipe("task_arithmetic", {}, MODELS, BASE, ParameterGroups((Group("all"),)), weights)
                metrics = {f"t.{key}": float(value) for key, value in columns.items()}
                ask = Ask(split, 0 if name else 1, index)
                store.append(Evaluation(recipe.digest, recipe.to_json(), ask, name or None, metrics), answers)
        store.fold()
    return RunStore.read(folder)


def _answer(item: str, tokens: int, cut: bool) -> Response:
    metrics = {"exact_match": float(item.endswith("5")), "tokens": float(tokens), "truncated": float(cut)}
    return Response("t", item, metrics, texts=("x",), truncated=cut, tokens=(tokens,))


def test_lengths_are_shown_in_tokens_and_truncated_answers_in_per_cent(tmp_path: Path) -> None:
    facts = Facts(made(tmp_path))
    assert facts.unit == {"t.exact_match": "%", "t.tokens": "tokens", "t.truncated": "%"}
    said = facts.sentences["t.tokens"]
    assert f"{SPACE}tokens" in said
    assert "%" not in said
    write(tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8").replace(SPACE, " ")
    assert re.search(r"\| base \|.* (299|300)\.\d+ tokens ", text)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '{"label":"t.tokens","unit":"tokens","higher":false}' in page


def test_truncation_explains_no_difference_of_lengths_away(tmp_path: Path) -> None:
    (member,) = Facts(made(tmp_path)).members
    assert {label: member.versus_expert[label].mark for label in ("t.tokens", "t.truncated")} == {
        "t.tokens": BEATS,
        "t.truncated": member.versus_expert["t.truncated"].mark,
    }
    assert member.versus_expert["t.tokens"].truncation is None
    assert member.versus_expert["t.exact_match"].truncation is not None


def test_limits_that_cut_one_model_more_than_another_are_told_with_their_remedy(tmp_path: Path) -> None:
    store = made(tmp_path)
    (told,) = [text for text in Facts(store).warnings if "length limit in generated answers" in text]
    assert told.replace(SPACE, " ") == (
        "4 models of 5 reached the length limit in generated answers, most often a (66.7 % of its answers): truncated "
        f"answers are scored as they are. Limits cut a more often than {store_id(store)} on t, by more than chance: "
        "66.7 % against 0.0 % of the answers to the same items, so their scores compare lengths too; set a larger "
        "limit with fitness.gen_kwargs={max_gen_toks: N}."
    )
    assert baseline_caveats(store) == [
        "limits cut a more often than base on t, by more than chance: 66.7 % against 3.3 % of the answers to the same "
        "items, so their scores compare lengths too; set a larger limit with fitness.gen_kwargs={max_gen_toks: N}"
    ]


def store_id(store: RunStore) -> str:
    return Facts(store).members[0].id


def test_before_held_out_items_are_asked_the_baselines_tell_it(tmp_path: Path) -> None:
    (told,) = [text for text in Facts(made(tmp_path, candidates=False)).warnings if "length limit" in text]
    assert "Limits cut a more often than base on t" in told


def test_even_limits_are_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.report.test_lengths.BASELINES", dict.fromkeys(BASELINES, (300, 5)))
    store = made(tmp_path, candidates=False)
    (told,) = [text for text in Facts(store).warnings if "length limit" in text]
    assert told.endswith("truncated answers are scored as they are.")
    assert baseline_caveats(store) == []

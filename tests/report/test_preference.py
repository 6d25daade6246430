"""A member by a preference that is given after the search, and the front in one number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import evomerge
from evomerge.cli.main import main
from evomerge.errors import InputError
from evomerge.report.facts import Facts
from evomerge.run.members import find_member
from evomerge.store import RunStore
from tests.report.run_folders import acc
from tests.report.test_findings import Model, made

ITEMS = {"search": (20, 20), "selection": (20, 20), "test": (20, 20)}


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    """Three finalists, of which selection scores say 80 and 10, 60 and 60, 10 and 90 %; test scores say otherwise."""
    models = [
        Model("expert:a", {"search": (16, 2), "selection": (16, 2), "test": (16, 2)}),
        Model("expert:b", {"search": (2, 16), "selection": (2, 16), "test": (2, 16)}),
        Model(None, {"search": (17, 2), "selection": (16, 2), "test": (2, 2)}),
        Model(None, {"search": (10, 10), "selection": (12, 12), "test": (10, 12)}),
        Model(None, {"search": (2, 17), "selection": (2, 18), "test": (4, 18)}),
        Model(None, {"search": (1, 1)}),
    ]
    return made(tmp_path / "run", models, ITEMS)


def scores(store: RunStore, wanted: str | dict[str, Any]) -> tuple[float, float]:
    """Selection scores of the member that is meant, as parts of 20 items."""
    found = store.lookup(find_member(store, wanted), "selection")
    assert found is not None
    return round(20 * found.metrics["one.acc"]), round(20 * found.metrics["two.acc"])


def test_weights_and_reference_points_pick_among_finalists_by_the_scores_that_made_them_so(run: RunStore) -> None:
    assert scores(run, "knee") == scores(run, "weights:1,1") == (12, 12)
    assert scores(run, "weights:0.8,0.2") == scores(run, "weights:one=0.8, two.acc=0.2") == (16, 2)
    assert scores(run, "weights:two=1") == scores(run, "best:two") == (2, 18)
    assert scores(run, "reference:0.8,0.1") == (16, 2)
    assert scores(run, "reference:0.5,0.5") == (12, 12), "within reach: the one that is better by most in both"
    assert scores(run, "reference:two=1,one=0") == (2, 18)


def test_a_mapping_of_objectives_is_one_of_weights(run: RunStore) -> None:
    assert scores(run, {"one.acc": 0.8, "two.acc": 0.2}) == scores(run, {"weights": {"one": 4, "two": 1}}) == (16, 2)
    assert scores(run, {"two": 1}) == (2, 18)
    assert scores(run, {"reference": {"one.acc": 0.5, "two.acc": 0.5}}) == (12, 12)
    example = r"\(write weights:0.7,0.3 and reference:0.6,0.5, or \{one.acc: 0.5, two.acc: 0.5\}\)"
    for wanted, told in (
        ({"ones": 1}, "member: {'ones': 1}: there is no objective 'ones'; did you mean 'one'?"),
        ({"one.acc": "x"}, "'x' is no number"),
        ({"one.acc": True}, "True is no number"),
        ({"one": 1, "one.acc": 1}, "'one.acc' is given twice"),
        ({"one": -1}, "weights must be 0 or more"),
        ({}, "one above 0"),
        ({"weights": {"one": 1}, "two": 1}, "there is no objective 'weights'"),
    ):
        with pytest.raises(InputError, match=example) as caught:
            find_member(run, wanted)
        assert told in str(caught.value)
    with pytest.raises(
        InputError, match=r"two.acc is missing \(write .* or \{reference: \{one.acc: 0.5, two.acc: 0.5\}\}"
    ):
        find_member(run, {"reference": {"one": 0.5}})


def test_a_mapping_is_written_on_the_command_line_and_in_python(run: RunStore) -> None:
    assert main(["report", f"run={run.folder}", "prefer={one.acc: 0.1, two.acc: 0.9}"]) == 0
    text = (run.folder / "report.md").read_text(encoding="utf-8")
    assert "(preferred by weights 0.1, 0.9)" in text
    evomerge.Run(run.folder).report()
    evomerge.Run(run.folder).report({"one.acc": 0.1, "two.acc": 0.9})
    assert (run.folder / "report.md").read_text(encoding="utf-8") == text


def test_what_is_no_preference_is_told(run: RunStore) -> None:
    for wanted, told in (
        ("weights:1", "expected 2 numbers, for one.acc, two.acc, came 1"),
        ("weights:1,x", "'x' is no number"),
        ("weights:1,-1", "weights must be 0 or more"),
        ("weights:0,0", "one above 0"),
        ("weights:ones=1", "no objective 'ones'; did you mean 'one'?"),
        ("weights:one=1,one.acc=1", "'one.acc' is given twice"),
        ("reference:one=0.5", "two.acc is missing"),
        ("reference:nan,1", "'nan' is no number"),
    ):
        with pytest.raises(InputError, match=r"write weights:0.7,0.3 and reference:0.6,0.5, or") as caught:
            find_member(run, wanted)
        assert told in str(caught.value)
        assert str(caught.value).startswith("member: ")
    with pytest.raises(InputError, match=r"also knee, best:TASK, weights:0.7,0.3 and reference"):
        find_member(run, "weight")


def test_the_report_is_about_the_preferred_member(run: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", f"run={run.folder}", "prefer=weights:0.1,0.9"]) == 0
    text = (run.folder / "report.md").read_text(encoding="utf-8")
    assert "(preferred by weights 0.1, 0.9)" in text
    assert "(knee)" not in text
    front = json.loads((run.folder / "front.json").read_text(encoding="utf-8"))
    assert front["preference"] == "preferred by weights 0.1, 0.9"
    (chosen,) = [member for member in front["members"] if member["knee"]]
    assert chosen["selection"]["two.acc"]["mean"] == pytest.approx(0.9)
    assert "the knee" not in front["headline"]
    assert main(["report", f"run={run.folder}"]) == 0
    assert json.loads((run.folder / "front.json").read_text(encoding="utf-8"))["preference"] is None
    capsys.readouterr()
    assert main(["report", f"run={run.folder}", "prefer=knee"]) == 2
    assert "prefer: 'knee' is no preference; write weights:0.7,0.3" in (told := capsys.readouterr().err)
    assert "or {one.acc: 0.5, two.acc: 0.5}" in told


def test_the_front_in_one_number(run: RunStore, tmp_path: Path) -> None:
    """On selection items: from (10, 10) % on, 70 x 0 and 50 x 50 and 0 x 80 points lie below the members."""
    found = Facts(run).indicators
    assert list(found) == ["search", "selection", "test"]
    selection = found["selection"]
    assert selection.reference == pytest.approx((0.1, 0.1))
    assert selection.ideal == pytest.approx((0.8, 0.9))
    assert selection.hypervolume == pytest.approx(0.25)
    assert selection.baselines[0] == 0.0
    assert 0.0 < selection.r2 < selection.baselines[1] < 0.75
    (run.folder / "status.json").unlink(missing_ok=True)
    alone = made(tmp_path / "alone", [Model(None, {"search": (5,)})], {"search": (20,)}, acc("one.acc"))
    assert Facts(alone).indicators == {}

"""Timing beside the authors' own code: whose files are read, and that both merge the same matrices."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger
from experiments.merge_speed import authors
from experiments.merge_speed.authors import REPOSITORIES, Checkout, Repository
from experiments.merge_speed.beside import authors_page, beside_authors
from experiments.merge_speed.models import EXPERTS, generate
from experiments.merge_speed.officials import OFFICIALS, Official, Start
from experiments.merge_speed.recipes import layer_recipe

# Somebody's sum of task vectors, in the form that Iso-C and TSV-M have; it imports what is nowhere.
THEIRS = """
import sys
import nowhere_to_be_found as nowhere

sys.path.append("./")

def merge(task_vectors, config):
    print("Computing ...")
    assert set(task_vectors[0].vector) == set(nowhere.EXPECTED)
    return {key: sum(one.vector[key] for one in task_vectors) * nowhere.SCALE for key in task_vectors[0].vector}
"""
LINEAR = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
    "mlp.down_proj",
)  # fmt: skip


@pytest.fixture
def checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one checkout of one file, declared as the real ones are."""
    file = tmp_path / "checkouts" / "theirs" / "src" / "sums.py"
    file.parent.mkdir(parents=True)
    file.write_text(THEIRS, encoding="utf-8")
    digest = hashlib.sha256(THEIRS.encode()).hexdigest()
    declared = {**REPOSITORIES, "theirs": Repository("somebody", "1" * 40, {"src/sums.py": digest})}
    monkeypatch.setattr(authors, "REPOSITORIES", declared)
    monkeypatch.setattr("experiments.merge_speed.beside.REPOSITORIES", declared)
    return tmp_path / "checkouts"


def official(scale: float, names: Sequence[str] = LINEAR) -> Official:
    """Their sum, times a number."""

    def load(checkout: Checkout) -> Start:
        expected = [f"model.layers.1.{name}.weight" for name in names]
        module = checkout.module("src/sums.py", nowhere_to_be_found={"SCALE": scale, "EXPECTED": expected})
        return lambda deltas: lambda: module.merge([SimpleNamespace(vector=own) for own in deltas], None)

    return Official("theirs", "merge", "a sum", load, {"weight": 1.0})


def test_all_are_checkouts_of_a_commit() -> None:
    assert {own.repository for own in OFFICIALS.values()} == set(REPOSITORIES)
    assert all(len(own.commit) == 40 and own.files for own in REPOSITORIES.values())


def test_a_checkout_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"https://github.com/IBM/STAR at commit e6bfcf7.*STAR"):
        beside_authors("star", tmp_path, (), (0,), 1)


def test_another_file_is_refused_and_not_run(checkouts: Path) -> None:
    file = checkouts / "theirs" / "src" / "sums.py"
    file.write_text("raise SystemExit\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is not the file of https://github.com/somebody/theirs at commit 1111"):
        Checkout("theirs", checkouts / "theirs").module("src/sums.py")


def test_a_method_that_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'ties' is not compared"):
        beside_authors("ties", tmp_path, (), (0,), 1)


def test_their_imports_leave_nothing_behind(checkouts: Path) -> None:
    path = list(sys.path)
    official(1.0).load(Checkout("theirs", checkouts / "theirs"))
    assert "nowhere_to_be_found" not in sys.modules
    assert sys.path == path


def test_both_merge_the_linear_maps_of_a_layer(
    checkouts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The results are as far apart as their scale makes them, and what they print is kept back."""
    models = generate("tiny", tmp_path / "models")
    assert [path.name for path in models] == ["base", *EXPERTS]
    for scale, apart in ((1.0, 0.0), (0.8, 0.25)):
        monkeypatch.setattr("experiments.merge_speed.beside.OFFICIALS", {"task_arithmetic": official(scale)})
        found = beside_authors("task_arithmetic", checkouts, models, (1,), 2)
        assert found["apart"] == [pytest.approx(apart, abs=1e-4)]
        assert (found["repository"], found["commit"]) == ("somebody/theirs", "1" * 40)
        assert all(min(found[name][0]) > 0 for name in ("theirs", "theirs_later", "ours", "ours_later"))
    assert "Computing" not in capsys.readouterr().out


def test_linear_maps_of_one_kind_alone(checkouts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = generate("tiny", tmp_path / "models")
    recipe = layer_recipe("task_arithmetic", models, 1, {}, ("attention",))
    merged = Merger(Checkpoints.open(recipe)).outputs(recipe).merged
    assert {name.split(".")[-2] for name in merged} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    monkeypatch.setattr("experiments.merge_speed.beside.OFFICIALS", {"task_arithmetic": official(1.0, LINEAR[:4])})
    found = beside_authors("task_arithmetic", checkouts, models, (1,), 2, ("attention",))
    assert found["apart"] == [pytest.approx(0.0, abs=1e-4)]


def test_ratios_are_of_all_turns() -> None:
    theirs, ours, later = [(6.0, 8.0), (2.0, 2.0)], [(3.0, 4.0), (2.0, 2.0)], [(0.1, 0.1), (0.1, 0.1)]
    entry = {
        "repository": "IBM/STAR", "commit": REPOSITORIES["STAR"].commit, "theirs": theirs, "theirs_later": theirs,
        "ours": ours, "ours_later": later, "apart": [1e-6, 2e-6],
    }  # fmt: skip
    about = {"models": "tiny", "date": "2026-01-01", "machine": "a machine", "threads": 1, "versions": {"torch": "2"}}
    page = authors_page({**about, "layers": 2, "methods": {"star": entry}})
    assert (
        "| `star` | 8 | 8 | 5 | 1.6 (1 to 2) | 1.67 (1 to 2) | 0.2 | 40 (20 to 60) | 50 (20 to 80) | 2.0e-06 |" in page
    )
    assert "IBM/STAR at e6bfcf7: star_task_vectors, weighted_merge" in page

"""Items that belong together by a field: held out together, recorded, and refused where the field is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evomerge.evaluation import SPLITS
from evomerge.fitness.tasks.build import Opened
from tests.fitness.conftest import write_jsonl
from tests.fitness.tasks.declaring import INLINE, declare, opened, problems, simple

PASSAGES = [f"passage {n}" for n in range(20)]
LONG = "a passage of more words than any label has, " * 3


def rows(count: int = 120, **fields: Any) -> list[dict[str, Any]]:
    found = []
    for n in range(count):
        row = {"question": f"q{n}", "stem": f"s{n}", "options": ["x", "y"], "gold": n % 2, "passage": PASSAGES[n % 20]}
        found.append(row | {name: value(n) if callable(value) else value for name, value in fields.items()})
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "quiz.jsonl", rows())
    return tmp_path


def clusters_of(found: Opened, task: str) -> dict[str, str]:
    """Passage by its own label, from the documents behind the items."""
    benchmark = found.benchmarks[task]
    return {item: benchmark.items[item].doc["passage"] for item in benchmark.items}


def check_whole(found: Opened, task: str, labels: dict[str, str]) -> None:
    splits = {split: {labels[item] for item in found.items[split][task]} for split in SPLITS}
    assert all(splits.values())
    assert sum(map(len, splits.values())) == len(set(labels.values())), "a passage lies in one split alone"
    assert sum(len(found.items[split][task]) for split in SPLITS) == len(labels)


def test_a_declaration_names_the_field(folder: Path) -> None:
    found = opened(folder, {**INLINE, "cluster": "passage"})
    labels = clusters_of(found, "quiz")
    assert found.benchmarks["quiz"].clusters == labels
    check_whole(found, "quiz", labels)
    assert opened(folder, INLINE).benchmarks["quiz"].clusters == {}


def test_a_task_file_names_it_in_its_metadata(folder: Path) -> None:
    simple(folder, "plain", "quiz.jsonl")
    simple(folder, "other", "quiz.jsonl", "metadata: {version: 2.0, cluster: passage}\n")
    found = opened(folder, "plain", "other")
    assert found.benchmarks["other"].clusters == clusters_of(found, "other")
    check_whole(found, "other", clusters_of(found, "other"))
    assert found.benchmarks["plain"].clusters == {}


def test_tasks_over_the_same_passages_hold_the_same_ones_out(folder: Path) -> None:
    write_jsonl(folder / "more.jsonl", rows(80, question=lambda n: f"another question {n}"))
    found = opened(
        folder, {**INLINE, "cluster": "passage"}, {**INLINE, "task": "more", "data": "more.jsonl", "cluster": "passage"}
    )
    sides = [
        {split: {clusters_of(found, task)[i] for i in found.items[split][task]} for split in SPLITS}
        for task in ("quiz", "more")
    ]
    assert sides[0] == sides[1]


def test_long_values_stand_as_hashes_and_null_stands_alone(folder: Path) -> None:
    write_jsonl(folder / "quiz.jsonl", rows(passage=lambda n: None if n < 30 else LONG + str(n % 5)))
    found = opened(folder, {**INLINE, "cluster": "passage"}).benchmarks["quiz"]
    assert len(found.clusters) == 90
    assert {len(label) for label in found.clusters.values()} == {16}
    assert len(set(found.clusters.values())) == 5


def test_a_field_of_the_row_behind_a_document_counts(folder: Path) -> None:
    (folder / "code.py").write_text(
        "def narrow(rows):\n    return rows.map(lambda doc: doc, remove_columns=['passage', 'question'])\n"
    )
    simple(folder, "narrow", "quiz.jsonl", "process_docs: !function code.narrow\nmetadata: {cluster: passage}\n")
    found = opened(folder, "narrow").benchmarks["narrow"]
    assert "passage" not in next(iter(found.items.values())).doc
    assert len(set(found.clusters.values())) == 20


def test_what_is_wrong_with_a_field_is_said(folder: Path) -> None:
    assert "cluster names the field 'pasage'" in (told := problems(folder, {**INLINE, "cluster": "pasage"}))
    assert "did you mean 'passage'?" in told
    assert "cluster: expected the name of a field, came 3" in problems(folder, {**INLINE, "cluster": 3})
    simple(folder, "odd", "quiz.jsonl", "metadata: {cluster: [passage]}\n")
    assert "metadata: cluster: expected the name of a field" in problems(folder, "odd")
    declare(folder, "odd", (folder / "odd.yaml").read_text().replace("[passage]", "absent"))
    assert "cluster names the field 'absent'" in problems(folder, "odd")
    write_jsonl(folder / "quiz.jsonl", rows(passage="the same"))
    assert "they form 1 cluster, which stays whole" in problems(folder, {**INLINE, "cluster": "passage"})


def test_under_rule_1_splits_stay_what_they_were(folder: Path) -> None:
    before = opened(folder, INLINE, split_rule=1)
    after = opened(folder, {**INLINE, "cluster": "passage"}, split_rule=1)
    assert after.items == before.items
    assert after.benchmarks["quiz"].clusters

"""The report's files: complete, small, safe, equal to one another and to themselves."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.report import write
from evomerge.report.facts import Facts
from evomerge.report.page import coefficients, json_block
from evomerge.store import RunStore
from tests.report.run_folders import write_run
from tests.report.scenarios import EVERY, HOSTILE, TWO

RunOf = Callable[[str], Path]
FILES = ("report.html", "report.md", "front.json", "front.csv", "front.png")


class Elements(html.parser.HTMLParser):
    """Collects a page's elements and its scripts' texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EVERY)
def test_every_run_gets_every_file(run_of: RunOf, name: str) -> None:
    folder = run_of(name)
    assert all((folder / file).stat().st_size > 0 for file in FILES)
    assert (folder / "report.html").stat().st_size < 2_000_000
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob(".*tmp"))


@pytest.mark.parametrize("name", ["two", "hostile"])
def test_the_same_records_give_the_same_bytes_wherever_the_folder_lies(
    run_of: RunOf, tmp_path: Path, name: str
) -> None:
    moved = tmp_path / "elsewhere and moved"
    shutil.copytree(run_of(name), moved)
    for file in FILES:
        (moved / file).unlink()
    paths = write(moved)
    assert [p.name for p in paths] == list(FILES)
    for path in paths:
        assert path.read_bytes() == (run_of(name) / path.name).read_bytes()


def test_only_the_reports_own_files_are_touched(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", replace(TWO, candidates=6, test_items=20))
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    write(folder)
    assert {p.name for p in folder.rglob("*") if p.is_file() and p not in before} == set(FILES)
    assert all(p.read_bytes() == data for p, data in before.items())


@pytest.mark.parametrize("name", EVERY)
def test_the_page_asks_for_nothing(run_of: RunOf, name: str) -> None:
    page = page_of(run_of(name))
    elements = Elements(page)
    for tag, attributes in elements.found:
        for attribute in ("src", "href", "srcset", "data", "poster", "action", "background", "xlink:href"):
            value = attributes.get(attribute)
            assert value is None or value.startswith(("#", "data:")), (tag, attributes)
        assert tag not in ("iframe", "object", "embed", "base", "form", "img")
        assert not any(key.startswith("on") for key in attributes), (tag, attributes)
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page)) - {"http://www.w3.org/2000/svg"}
    assert not addresses


@pytest.mark.parametrize("name", EVERY)
def test_the_policy_allows_the_one_script_alone(run_of: RunOf, name: str) -> None:
    elements = Elements(page_of(run_of(name)))
    policy = next(a["content"] for t, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    kinds = [a.get("type") for t, a in elements.found if t == "script"]
    assert kinds == ["application/json", None]
    digest = base64.b64encode(hashlib.sha256(elements.scripts[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    json.loads(elements.scripts[0])


def test_hostile_names_and_answers_stay_text(run_of: RunOf) -> None:
    page = page_of(run_of("hostile"))
    elements = Elements(page)
    assert HOSTILE not in page
    assert sum(tag == "script" for tag, _ in elements.found) == 2
    data = json.loads(elements.scripts[0])
    assert any(HOSTILE in b["short"] for b in data["baselines"])
    assert any(HOSTILE in item["question"] for item in data["samples"]["items"])
    text = (run_of("hostile") / "report.md").read_text(encoding="utf-8")
    # What is neither escaped nor inside code is markup of the report's own.
    own = re.sub(r"\\[^\w\s]|(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", text, flags=re.DOTALL)
    assert not re.search(r"[<&]", own)
    width = 0
    for line in text.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert cells in (0, width or cells), line  # every row as wide as its table's head
        width = cells


def test_json_inside_the_page_cannot_end_its_element() -> None:
    text = json_block({"a": "</script><!--<script>", "b": "\u2028\u2029&"})
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert json.loads(text) == {"a": "</script><!--<script>", "b": "\u2028\u2029&"}


def test_coefficients_are_those_of_the_recipes_and_bounded(run_of: RunOf) -> None:
    facts = Facts(RunStore.read(run_of("three")))
    whole = coefficients(facts)
    assert whole is not None
    assert list(whole["values"]) == [m.id for m in facts.members]
    for member in facts.members:
        weight, density = whole["values"][member.id]
        assert weight == pytest.approx(np.array(member.recipe["coefficients"]["weight"]), abs=5e-4, rel=1e-3)
        assert np.shape(density) == (len(whole["groups"]), len(whole["models"]))
    each = 2 * len(whole["groups"]) * len(whole["models"])
    small = coefficients(facts, most=3 * each + 1)
    assert small is not None
    assert list(small["values"]) == [m.id for m in facts.members[:3]]


@pytest.mark.parametrize("name", ["two", "three", "single", "hostile", "unconfirmed"])
def test_csv_and_json_agree(run_of: RunOf, name: str) -> None:
    front = json.loads((run_of(name) / "front.json").read_text(encoding="utf-8"))
    rows = list(csv.DictReader(io.StringIO((run_of(name) / "front.csv").read_text(encoding="utf-8"))))
    assert [r["id"] for r in rows] == [m["id"] for m in front["members"]] + [b["name"] for b in front["baselines"]]
    for row, entry in zip(rows, [*front["members"], *front["baselines"]], strict=True):
        for label in (o["label"] for o in front["objectives"]):
            for split in ("search", "test"):
                shown = (entry[split] or {}).get(label, {})
                for end, suffix in (("mean", ""), ("low", "_low"), ("high", "_high")):
                    assert _number(row[f"{label}:{split}{suffix}"]) == shown.get(end)
            versus = entry["difference_to_best_expert"].get(label, {})
            assert row[f"{label}:best_expert"] == versus.get("against", "")
            assert _number(row[f"{label}:difference"]) == versus.get("mean")
            assert row[f"{label}:mark"] == entry.get("mark", {}).get(label, "")


def _number(text: str) -> float | None:
    return float(text) if text else None


def test_page_and_text_show_the_numbers_of_the_json(run_of: RunOf) -> None:
    front: dict[str, Any] = json.loads((run_of("two") / "front.json").read_text(encoding="utf-8"))
    page, text = page_of(run_of("two")), (run_of("two") / "report.md").read_text(encoding="utf-8")
    assert front["headline"] in text
    assert front["headline"] in page.replace("\N{NON-BREAKING HYPHEN}", "-")
    for member in front["members"]:
        for label, gap in member["difference_to_best_expert"].items():
            shown = f"{100 * gap['mean']:+.1f}".replace("-", "\N{MINUS SIGN}")
            assert f">{shown}<" in page
            assert f"{shown}\N{NO-BREAK SPACE}points" in text
            assert f"<b>{100 * member['test'][label]['mean']:.1f}</b>" in page
        assert f"member={member['id']}" in page or member is not front["members"][0]
    assert "evomerge search &#39;models=[models/expert_s,models/expert_l]&#39;" in page
    assert "run_dir=runs/made-up" in text


@pytest.mark.parametrize("name", ["single", "three"])
def test_every_score_of_a_member_is_labelled_with_its_split(run_of: RunOf, name: str) -> None:
    front: dict[str, Any] = json.loads((run_of(name) / "front.json").read_text(encoding="utf-8"))
    page, text = page_of(run_of(name)), (run_of(name) / "report.md").read_text(encoding="utf-8")
    confirmed = [member for member in front["members"] if member["test"]]
    label = front["objectives"][0]["label"]
    assert f"| member | `{label}` search | `{label}` selection | `{label}` held-out |" in text
    tasks = len(front["objectives"]) if name == "three" else 2
    asked = {split: front["items"][split] for split in ("search", "selection", "test")}
    assert asked["selection"] == tasks * (50 if name == "three" else 40)
    for words in (text, page):
        assert f"the best {len(confirmed)} compared on {asked['selection']}\N{NO-BREAK SPACE}selection items" in words
    for member in confirmed:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{member['id']}`")).split(" | ")
        shown = [f"{100 * member[split][label]['mean']:.1f}" for split in ("search", "selection", "test")]
        assert [cell.split()[0] for cell in row[1:4]] == shown
        cells = page.split(f'data-row="{member["id"]}"')[1].split("</tr>")[0].split('class="diff"')[0]
        numbers = re.findall(r">(\d+\.\d)<", cells)
        order = ("test", "search", "selection") if name == "three" else ("test", "selection", "search")
        assert numbers == [f"{100 * member[split][label]['mean']:.1f}" for split in order]


def test_the_optimism_of_scores_that_were_selected_by(run_of: RunOf) -> None:
    front: dict[str, Any] = json.loads((run_of("three") / "front.json").read_text(encoding="utf-8"))
    text = (run_of("three") / "report.md").read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
    label = "wiki_made.perplexity"  # lower is better
    for split in ("search", "selection"):
        drops = []
        for models in (front["members"], front["baselines"]):
            both = [model for model in models if model["test"] and model[split]]
            drops.append(np.mean([model["test"][label]["mean"] - model[split][label]["mean"] for model in both]))
        wanted = rf"- `{label}`, {split} scores: of the members (\S+), of the baselines (\S+)"
        found = re.search(wanted, text)
        assert found is not None
        assert [float(number) for number in found.groups()] == pytest.approx(drops, rel=1e-3)


def test_failures_are_told_by_kind_with_their_first_message(run_of: RunOf) -> None:
    text = (run_of("two") / "report.md").read_text(encoding="utf-8")
    assert "| nonfinite | 2 | `tensor 'model.layers.3.mlp.down_proj.weight' holds values that are not finite` |" in text
    assert "| oom | 1 | `out of memory` |" in text
    assert "3 of them failed" in text


def test_costs_add_up(run_of: RunOf) -> None:
    store = RunStore.read(run_of("two"))
    scored = [e for e in store.evaluations("search") if e.name is None]
    text = (run_of("two") / "report.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| candidates, search items"))
    assert row.split(" | ")[1:3] == [str(len(scored)), str(sum(e.items for e in scored))]


def test_a_run_that_has_only_begun_has_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "young"
    with RunStore.open(folder, {"objectives": [o.to_json() for o in TWO.objectives]}, {}):
        write(folder)
    assert "No candidate has been scored yet." in page_of(folder)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        write(tmp_path)


def test_a_failed_baseline_and_missing_side_files_are_survived(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", replace(TWO, candidates=8, test_items=20))
    (folder / "items.json").unlink()
    (folder / "status.json").unlink()
    records = folder / "records" / "main.jsonl"
    lines = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["evaluation"]["name"] == "expert:expert_s":
            line["evaluation"] |= {"metrics": {}, "error": {"kind": "timeout", "message": "took too long"}}
            line["provenance"]["responses"] = None
    records.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    write(folder)
    front = json.loads((folder / "front.json").read_text(encoding="utf-8"))
    assert {c["against"] for m in front["members"] for c in m["difference_to_best_expert"].values()} == {
        "expert:expert_l"
    }
    assert "The baseline expert_s failed on search items: took too long" in page_of(folder)


def test_a_python_objective_has_no_interval_and_no_verdict(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", replace(TWO, candidates=12, test_items=20))
    records = folder / "records" / "main.jsonl"
    lines = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        metrics = line["evaluation"]["metrics"]
        if metrics:
            metrics["python.brevity"] = -10.0 * metrics["sort_b.acc"]
    records.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    terms = [[1.0, "python.brevity"]]
    manifest["objectives"][1] = {"label": "python.brevity", "terms": terms, "higher_is_better": True}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    write(folder)
    front = json.loads((folder / "front.json").read_text(encoding="utf-8"))
    assert front["members"]
    for member in front["members"]:
        assert member["test"]["python.brevity"]["low"] is None
        assert set(member["mark"]) == {"reverse_b.acc"}
    assert "python.brevity is not explained by its items one by one, so it has no interval." in page_of(folder)

"""The genes that scores hang on, of runs whose scores are formulas of their genes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from evomerge.evaluation import Evaluation
from evomerge.recipe import Recipe
from evomerge.report.facts import Facts
from evomerge.report.findings.genes import genes
from evomerge.report.results import Results
from evomerge.store import RunStore

RunOf = Callable[[str], Path]


class Rescored(Results):
    """Results of a run as if scores were a formula of its recipes' weights, ``(layers, experts)``."""

    def __init__(self, folder: Path, formula: Callable[[np.ndarray], float]) -> None:
        super().__init__(RunStore.read(folder))
        label = self.objectives[0].label
        self.candidates = [
            replace(one, metrics={**one.metrics, label: formula(weights(one))})
            for one in self.candidates
            if one.error is None
        ]


def weights(evaluation: Evaluation) -> np.ndarray:
    recipe = Recipe.from_json(evaluation.recipe)
    rows = [row for row, group in enumerate(recipe.groups.groups) if group.layers]
    return recipe.coefficients["weight"][rows]


def test_the_model_and_the_depth_that_decide_are_named(run_of: RunOf) -> None:
    found = genes(Rescored(run_of("many"), lambda w: float(w[:2, 1].sum())))
    assert found is not None
    label = next(iter(found.found))
    rows = {name: share for _, name, share in found.rows(label)}
    experts = [name for name in rows if name.startswith("weight[")]
    assert experts[0] == f"weight[{labels(run_of('many'))[1]}]"
    depths = [name for name in rows if name.startswith("layer")]
    assert "0" in depths[0], "the first band of layers"
    assert rows[experts[0]].trend > 0.5
    assert rows[experts[0]].used.low > rows[experts[1]].used.high
    assert "of the variance of held-out ones." in found.sentence(label)
    told = found.to_json()[label]
    assert told["told"] is True
    assert told["coefficient"].keys() == {f"weight[{name}]" for name in labels(run_of("many"))}


def labels(run: Path) -> list[str]:
    return [model["label"] for model in RunStore.read(run).manifest["models"]]


def test_scores_that_hang_on_no_gene_are_said_to(run_of: RunOf) -> None:
    noise = iter(np.random.default_rng(0).normal(size=1000).tolist())
    found = genes(Rescored(run_of("many"), lambda _: next(noise)))
    assert found is not None
    label = next(iter(found.found))
    assert found.rows(label) == []
    assert found.sentence(label).endswith("too little to say which genes matter.")


def test_page_text_and_data_say_the_same(run_of: RunOf) -> None:
    run = run_of("many")
    facts = Facts(RunStore.read(run))
    data = json.loads((run / "front.json").read_text(encoding="utf-8"))["importance"]
    assert facts.genes is not None
    assert data == facts.genes.to_json()
    text, page = ((run / name).read_text(encoding="utf-8") for name in ("report.md", "report.html"))
    assert "## Which genes mattered" in text
    for label in data:
        assert facts.genes.sentence(label) in page
        for _, name, _ in facts.genes.rows(label):
            assert f"`{name}`" in text
            assert name in page


def test_of_few_candidates_nothing_is_said(run_of: RunOf) -> None:
    few = Facts(RunStore.read(run_of("python"))).genes
    assert few is not None
    assert set(few.found.values()) == {None}
    assert "too few candidates" in few.sentence(next(iter(few.found)))
    assert few.note == "", "there are no numbers to read"
    for name in ("report.md", "report.html"):
        assert "A smooth model" not in (run_of("python") / name).read_text(encoding="utf-8")
    nobody = Facts(RunStore.read(run_of("all_failed"))).genes
    assert nobody is None


def test_candidates_of_another_form_are_left_out(run_of: RunOf) -> None:
    """Recipes with other sources, as of searches among models, have no genes to compare."""
    results = Results(RunStore.read(run_of("many")))
    scored = [one for one in results.candidates if one.error is None]
    swapped = [replace(one, recipe={**one.recipe, "seed": 7}) if row else one for row, one in enumerate(scored)]
    results.candidates = swapped
    found = genes(results)
    assert found is not None
    assert set(found.found.values()) == {None}

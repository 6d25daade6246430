"""Run folders with known answers, written through the real store.

The models in them are formulas: a model's skill at a task follows from its coefficients, an answer from its skill, the
item's difficulty and a seeded draw. Everything else (recipes, records, responses, manifest) is what a search writes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.evaluation import Ask, Evaluation, Failure, Objective, Provenance, Response
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from evomerge.store import RunStore


@dataclass(frozen=True)
class Task:
    """A task of a made-up run.

    Attributes:
        name: Task name.
        kind: ``choice``, ``match`` (greedy match of a continuation), ``generate`` or ``perplexity``.
        skills: Skill of the base, then what each expert's full weight adds to it.
        sweet: The total weight that suits the task; what is above or below costs skill.
    """

    name: str
    kind: str
    skills: tuple[float, ...]
    sweet: float = 0.8


@dataclass(frozen=True)
class Scenario:
    """What a made-up run consists of."""

    tasks: tuple[Task, ...]
    experts: tuple[str, ...]
    objectives: tuple[Objective, ...]
    layers: int = 8
    kinds: bool = False
    own_groups: bool = True
    candidates: int = 60
    batch: int = 12
    search_items: int = 60
    selection_items: int = 0
    test_items: int = 240
    finalists: int = 8
    failures: Mapping[int, Failure] = field(default_factory=dict)
    constraints: tuple[dict[str, Any], ...] = ()
    confirm: bool = True
    seed: int = 0
    density: bool = False
    python: bool = False  # adds a metric of the recipe alone, which no item explains
    texts: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    together: int = 1  # items of a cluster
    rounds: int = 1  # of as many candidates each; the models of later ones are the best so far, as many as experts
    cut: tuple[str, ...] = ()  # baselines whose wrong generated answers all reached their length limit


def acc(*labels: str) -> tuple[Objective, ...]:
    """Objectives that are one metric each, higher is better."""
    return tuple(Objective(label, ((1.0, label),), True) for label in labels)


def write_run(folder: Path, scenario: Scenario) -> Path:
    """Writes a run folder."""
    run = _Run(scenario)
    with RunStore.open(
        folder, run.manifest(), {"seed": scenario.seed, "tasks": [t.name for t in scenario.tasks]}
    ) as store:
        store.write_json("items.json", run.contents())
        baselines = run.baselines()
        for index, (name, recipe) in enumerate(baselines.items()):
            run.score(store, recipe, "search", 0, index, name)
        found = run.search(store)
        if scenario.confirm and found:
            chosen = run.finalists(found)
            batch = 1 + (scenario.candidates - 1) // scenario.batch
            for split in ("selection", "test") if scenario.selection_items else ("test",):
                for index, (name, recipe) in enumerate(baselines.items()):
                    run.score(store, recipe, split, batch, index, name)
                for index, recipe in enumerate(chosen):
                    run.score(store, recipe, split, batch, len(baselines) + index, None)
        store.write_json("status.json", {"phase": "done", "finished": True, "reason": "evaluations", "seconds": 412.5})
        store.fold()
    return folder


class _Run:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rng = np.random.default_rng(scenario.seed)
        self.base = CheckpointRef("models/base", fingerprint=_hex("base", scenario.seed))
        self.models = tuple(CheckpointRef(f"models/{e}", fingerprint=_hex(e, scenario.seed)) for e in scenario.experts)
        kinds: tuple[tuple[str, ...], ...] = (("attention",), ("mlp", "other")) if scenario.kinds else ((),)
        groups = [
            Group(k, kinds=(k,), frozen=k == "norm") for k in ("embedding", "norm", "head") if scenario.own_groups
        ]
        for layer in range(scenario.layers):
            for kind in kinds:
                groups.append(Group(f"layer {layer} {' '.join(kind)}".strip(), kinds=kind, layers=(layer, layer + 1)))
        self.groups = ParameterGroups(tuple(groups))
        counts = {"search": scenario.search_items, "selection": scenario.selection_items, "test": scenario.test_items}
        self.items = {
            s: {t.name: [_hex(s, t.name, i)[:16] for i in range(n)] for t in scenario.tasks} for s, n in counts.items()
        }

    @functools.cached_property
    def cut(self) -> set[str]:
        return {recipe.digest for name, recipe in self.baselines().items() if name in self.scenario.cut}

    def manifest(self) -> dict[str, Any]:
        s = self.scenario
        command = ["evomerge", "search", f"models=[{','.join(f'models/{e}' for e in s.experts)}]", "base=models/base"]
        command += ["method=task_arithmetic", f"tasks=[{','.join(t.name for t in s.tasks)}]", "searcher=nsga2"]
        command += [
            f"evaluations={s.candidates}",
            f"items_per_task={s.search_items}",
            f"seed={s.seed}",
            "run_dir=runs/made-up",
        ]
        return {
            "created_by": "evomerge 0.1.0",
            "command": command,
            "config": {"searcher": {"name": "nsga2", "population": s.batch}, "seed": s.seed, "run_dir": "runs/made-up"},
            "method": {"name": "task_arithmetic", "options": {}, "paper": "Ilharco et al. 2023, arXiv:2212.04089"},
            "models": [
                {
                    "label": e,
                    "source": r.source,
                    "fingerprint": r.fingerprint,
                    "revision": None,
                    "hub_id": None,
                    "license": "apache-2.0",
                }
                for e, r in zip(s.experts, self.models, strict=True)
            ],
            "base": {
                "label": "base",
                "source": "models/base",
                "fingerprint": self.base.fingerprint,
                "license": "apache-2.0",
            },
            "genome": {
                "n_var": len(self.groups.groups) * len(self.models),
                "settings": {"depth": "layer", "split_kinds": s.kinds},
            },
            "objectives": [o.to_json() for o in s.objectives],
            "constraints": list(s.constraints),
            "tasks": {t.name: {"metrics": ["acc"]} for t in s.tasks},
            "items": self.items,
            "seeds": {"root": s.seed, "search": 11, "sampling": 12},
            "versions": {"python": "3.11.2", "torch": "2.13.0", "transformers": "5.23.0", "lm_eval": "0.4.13"},
            "device": {"type": "cpu", "name": "x86_64"},
            "threads": 1,
            "budgets": {"evaluations": s.candidates},
            **s.manifest,
        }

    def contents(self) -> dict[str, Any]:
        found = {}
        for split, tasks in self.items.items():
            for task in self.scenario.tasks:
                for n, item in enumerate(tasks[task.name]):
                    options = [f"option {k} of {n}{self.scenario.texts.get('option', '')}" for k in range(4)]
                    found[item] = {
                        "task": task.name,
                        "split": split,
                        "question": f"Question {n} of {task.name}?" + self.scenario.texts.get("question", ""),
                        "options": options if task.kind == "choice" else [],
                        "gold": options[n % 4] if task.kind == "choice" else f"answer {n}",
                    }
                    if self.scenario.together > 1:
                        found[item]["cluster"] = f"passage {n // self.scenario.together}"
        return found

    def recipe(self, weights: np.ndarray, base: bool = True) -> Recipe:
        rows = np.asarray(weights, dtype=np.float64)
        coefficients = {"weight": rows}
        if self.scenario.density:
            coefficients["density"] = np.clip(0.3 + 0.5 * np.abs(rows), 0.0, 1.0)
        return Recipe("task_arithmetic", {}, self.models, self.base if base else None, self.groups, coefficients)

    def baselines(self) -> dict[str, Recipe]:
        n = len(self.models)
        even = np.ones((len(self.groups.groups), 1))
        found = {"base": self.recipe(np.zeros((len(self.groups.groups), n)))}
        for k, expert in enumerate(self.scenario.experts):
            found[f"expert:{expert}"] = self.recipe(even * np.eye(n)[k])
        return found | {"uniform": self.recipe(even * np.full(n, 1.0 / n))}

    def skill(self, recipe: Recipe, task: Task) -> float:
        """A sum over layers, with the early layers serving the even experts and the late ones the odd."""
        weights = recipe.coefficients["weight"]
        depth = np.linspace(0.0, 1.0, len(weights))[:, None]
        odd = np.arange(weights.shape[1])[None, :] % 2
        use = np.where(odd == 1, 0.2 + 1.6 * depth, 1.8 - 1.6 * depth)
        gains = (use * weights).mean(axis=0)
        total = weights.sum(axis=1).mean()
        return float(
            task.skills[0] + gains @ np.array(task.skills[1:]) - 1.6 * max(0.0, abs(total - task.sweet) - 0.25) ** 2
        )

    def score(
        self, store: RunStore, recipe: Recipe, split: str, batch: int, index: int, name: str | None
    ) -> Evaluation:
        answers = [r for task in self.scenario.tasks for r in self.answers(recipe, task, split)]
        metrics: dict[str, float] = {}
        for task in self.scenario.tasks:
            own = [r.metrics for r in answers if r.task == task.name]
            for metric in own[0]:
                mean = float(np.mean([m[metric] for m in own]))
                metrics[f"{task.name}.{metric}"] = float(np.exp(-mean)) if metric == "perplexity" else mean
        if self.scenario.python:
            metrics["python.spread"] = float(np.ptp(recipe.coefficients["weight"]))
        seconds = {"merge": 0.12 + 0.01 * (index % 3), "score": 0.011 * len(answers)}
        evaluation = Evaluation(recipe.digest, recipe.to_json(), Ask(split, batch, index), name, metrics)
        return store.append(evaluation, answers, provenance=Provenance(attempt=1, seconds=seconds))

    def answers(self, recipe: Recipe, task: Task, split: str) -> list[Response]:
        skill = self.skill(recipe, task)
        flat = np.concatenate([c.ravel() for c in recipe.coefficients.values()])
        found = []
        for n, item in enumerate(self.items[split][task.name]):
            draw = np.random.default_rng(int(item, 16))
            margin = (
                skill + 1.1 * draw.normal() + 0.7 * (draw.normal(size=flat.size) @ flat) / np.sqrt(1.0 + flat.size / 3)
            )
            found.append(self.answer(task, item, n, float(margin), recipe.digest))
        return found

    def answer(self, task: Task, item: str, n: int, margin: float, digest: str) -> Response:
        right = float(margin > 0.0)
        if task.kind == "choice":
            other = (n + 1 + int(digest[0], 16) % 3) % 4
            logprobs = [-9.0, -9.0, -9.0, -9.0]
            logprobs[n % 4], logprobs[other] = -5.0 + margin / 2, -5.0
            return Response(
                task.name, item, {"acc": right, "gold_logprob": logprobs[n % 4]}, tuple(logprobs), (False,) * 4
            )
        if task.kind == "perplexity":
            return Response(task.name, item, {"perplexity": -2.0 + 0.3 * margin}, (-2.0 + 0.3 * margin,), (False,))
        if task.kind == "generate":
            text = f"answer {n}" if right else f"answer {n + 7}"
            return Response(
                task.name,
                item,
                {"exact_match,strict-match": right},
                texts=(text + self.scenario.texts.get("answer", ""),),
                truncated=margin < (0.0 if digest in self.cut else -2.5),
            )
        logprob = float(-np.logaddexp(0.0, -margin))
        metrics = {"acc": right, "gold_logprob": logprob}
        return Response(task.name, item, metrics, (logprob,), (bool(right),))

    def search(self, store: RunStore) -> list[Recipe]:
        found: list[tuple[list[float], Recipe]] = []
        everyone: list[tuple[list[float], Recipe]] = []
        shape = (len(self.groups.groups), len(self.models))
        for count in range(self.scenario.candidates):
            if found and count % -(-self.scenario.candidates // self.scenario.rounds) == 0:
                everyone += found
                best = sorted(everyone, key=lambda one: -sum(one[0]))[: len(self.models)]
                self.models, found = tuple(recipe for _, recipe in best), []
            batch, index = 1 + count // self.scenario.batch, count % self.scenario.batch
            if found and self.rng.random() < 0.85:
                scores = np.array([s for s, _ in found])
                wish = self.rng.dirichlet(np.ones(scores.shape[1]))
                parent = found[int(np.argmax(((scores - scores.mean(0)) / (scores.std(0) + 1e-9)) @ wish))][1]
                depth = np.linspace(-1.0, 1.0, shape[0])[:, None]
                ramp = self.rng.normal(scale=0.12, size=(1, shape[1])) + depth * self.rng.normal(
                    scale=0.25, size=(1, shape[1])
                )
                weights = parent.coefficients["weight"] + ramp + self.rng.normal(scale=0.06, size=shape)
            else:
                weights = self.rng.uniform(-0.1, 0.9, size=shape)
            recipe = self.recipe(weights.round(6))
            failure = self.scenario.failures.get(count, self.scenario.failures.get(-1))
            if failure is not None:
                store.append(
                    Evaluation(recipe.digest, recipe.to_json(), Ask("search", batch, index), error=failure),
                    provenance=Provenance(attempt=1, seconds={"merge": 0.1, "score": 0.0}),
                )
                continue
            scored = self.score(store, recipe, "search", batch, index, None)
            sign = [1.0 if o.higher_is_better else -1.0 for o in self.scenario.objectives]
            found.append(
                ([k * o.value(scored.metrics) for k, o in zip(sign, self.scenario.objectives, strict=True)], recipe)
            )
        everyone += found
        self.scores = {recipe.digest: score for score, recipe in everyone}
        return [recipe for _, recipe in everyone]

    def finalists(self, found: Sequence[Recipe]) -> list[Recipe]:
        scores = np.array([self.scores[r.digest] for r in found])
        if scores.shape[1] == 1:
            order = np.argsort(-scores[:, 0], kind="stable")[: self.scenario.finalists]
            return [found[i] for i in order]
        front = [i for i, s in enumerate(scores) if not ((scores >= s).all(1) & (scores > s).any(1)).any()]
        return [found[i] for i in front[: self.scenario.finalists]]


def _hex(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()

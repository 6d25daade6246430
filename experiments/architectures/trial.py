"""One architecture through the whole of evomerge; what came of each step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

import evomerge
from evomerge.checkpoints import open_source
from evomerge.merging import Checkpoints, LiveModel, Merger
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from experiments.architectures.architecture import CAUSAL, MULTIMODAL, Architecture
from experiments.architectures.building import EXPERTS, build, write_quiz
from experiments.architectures.catalogue import ARCHITECTURES
from experiments.architectures.inputs import inputs, outputs
from experiments.architectures.steps import STEPS

EVALUATIONS = 2
RESULT = "result.json"
_QUIZ_METRIC = "quiz.gold_logprob"
_OBJECTIVES = Path(__file__).with_name("objectives.py")


class Trial:
    """The steps, in their order; each leaves what it made for the next.

    Args:
        architecture: What is tried.
        folder: An empty folder.
    """

    def __init__(self, architecture: Architecture, folder: Path) -> None:
        self.architecture = architecture
        self.folder = folder
        self.base, self.experts = folder / "base", [folder / name for name in EXPERTS]
        self.causal = architecture.loader in (CAUSAL, MULTIMODAL)

    def built(self) -> str:
        """Base and experts are saved."""
        build(self.architecture, self.folder)
        source = open_source(self.base)
        self.source = source
        return f"{source.config['model_type']}, {len(source.specs)} tensors"

    def merged(self) -> str:
        """A recipe of two experts gives a folder whose every tensor is their average by hand."""
        refs = tuple(CheckpointRef(str(expert)) for expert in self.experts)
        groups = ParameterGroups((Group("all"),))
        shares = {"weight": [[0.25, 0.75]]}
        recipe = Recipe("linear", {"normalise": "weight"}, refs, None, groups, shares, out_dtype="float32")
        out = open_source(evomerge.merge(recipe, self.folder / "merged"))
        self._same_tensors(out)
        one, two = (open_source(expert) for expert in self.experts)
        for name in out.specs:
            expected = 0.25 * one.tensor(name) + 0.75 * two.tensor(name)
            torch.testing.assert_close(out.tensor(name), expected.to(out.specs[name].dtype), rtol=0, atol=1e-6)
        return "equal to the average by hand"

    def loaded(self) -> str:
        """The live model is built, and every element is where transformers puts it."""
        self.live = LiveModel.load(self.base, causal=self.causal)
        return type(self.live.model).__name__

    def searched(self) -> str:
        """Two candidates are searched, on a task of lm-eval or on a Python objective."""
        objective = self.architecture.objective
        asked: dict[str, Any] = {"functions": [f"{_OBJECTIVES}:{objective}"]}
        if not objective:
            quiz = write_quiz(self.folder / "quiz.jsonl")
            task = {"task": "quiz", "data": str(quiz), "question": "{{question}}", "choices": "{{options}}"}
            asked = {"tasks": [{**task, "answer": "{{gold}}"}], "objectives": [_QUIZ_METRIC]}
        self.run = evomerge.search(
            models=[str(expert) for expert in self.experts], base=str(self.base), method="ties", genome="layer",
            evaluations=EVALUATIONS, run_dir=str(self.folder / "run"),
            model={"dtype": "float32", "threads": 1}, **asked,
        )  # fmt: skip
        found = [e for e in self.run.evaluations("search") if e.name is None]
        metric = f"python.{objective}" if objective else _QUIZ_METRIC
        scores = [e.metrics[metric] for e in found if e.error is None]
        if len(set(scores)) < EVALUATIONS:
            raise AssertionError(f"{EVALUATIONS} candidates should have scores of their own: {scores}")
        return f"{len(self.run.manifest['genome']['labels'])} genes; " + (objective or "task")

    def exported(self) -> str:
        """A member of the front is exported, and proved to be what was scored."""
        self.member = self.run.front[0]
        done = self.run.export(self.member.id, self.folder / "exported")
        self._same_tensors(open_source(done.folder))
        return f"{done.items} items, difference {done.difference:g}"

    def reloaded(self) -> str:
        """What transformers loads from the export answers as the live model with that candidate, to the last bit."""
        recipe = Recipe.from_json(self.member.recipe)
        checkpoints = Checkpoints.open(recipe)
        changed = self.live.install(Merger(checkpoints), recipe)
        kind = getattr(transformers, self.architecture.loader)
        again, info = kind.from_pretrained(self.folder / "exported", dtype=torch.float32, output_loading_info=True)
        odd = {name: sorted(map(str, info[name])) for name in ("missing_keys", "mismatched_keys") if info[name]}
        plain = kind.from_pretrained(self.base, output_loading_info=True)[1]
        if info["unexpected_keys"] != plain["unexpected_keys"] or odd:
            raise AssertionError(f"transformers misses tensors, or leaves some out: {odd or info['unexpected_keys']}")
        torch.manual_seed(1)
        asked = inputs(self.architecture, again.config)
        # Frozen as the live model is: torch folds a product otherwise where a factor requires gradients.
        ours, theirs = outputs(self.live.model, asked), outputs(again.eval().requires_grad_(False), asked)
        before = outputs(kind.from_pretrained(self.base, dtype=torch.float32).eval(), asked)
        for name in ours:
            if not torch.equal(ours[name], theirs[name]):
                raise AssertionError(f"{name} differs by {(ours[name] - theirs[name]).abs().max():.3g}")
        if all(torch.equal(ours[name], before[name]) for name in ours):
            raise AssertionError("the candidate answers as the base does")
        return f"{len(changed)} tensors installed; {', '.join(ours)} bit-equal"

    def _same_tensors(self, out: Any) -> None:
        mine, wanted = ({n: (tuple(s.shape), s.dtype) for n, s in x.specs.items()} for x in (out, self.source))
        if mine != wanted:
            raise AssertionError(f"other tensors than the base's: {sorted(mine.items() ^ wanted.items())[:4]}")


def attempt(name: str, folder: Path, steps: tuple[str, ...] = STEPS) -> dict[str, Any]:
    """Runs the steps until one fails.

    Args:
        name: A key of the catalogue.
        folder: An empty folder.
        steps: Which.

    Returns:
        ``steps``, step to ``{"ok", "text"}``, without those that a failed one kept from being tried; and ``seconds``.
    """
    trial, found, start = Trial(ARCHITECTURES[name], folder), {}, time.perf_counter()
    for step in steps:
        work: Callable[[], str] = getattr(trial, step)
        try:
            found[step] = {"ok": True, "text": work()}
        except Exception as error:  # whatever keeps an architecture from working is a row of the table
            text = " ".join(str(error).replace(f"{folder}/", "").split())
            found[step] = {"ok": False, "text": f"{type(error).__name__}: {text}"[:600]}
            if step != "merged":  # which nothing else needs
                break
    return {"steps": found, "seconds": round(time.perf_counter() - start, 1)}


def run(name: str, folder: str) -> None:
    """Tries an architecture and leaves ``result.json`` in the folder; for a process of its own."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    result = attempt(name, Path(folder))
    Path(folder, RESULT).write_text(json.dumps(result), encoding="utf-8")

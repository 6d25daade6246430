"""The runs that the report is tried on."""

from __future__ import annotations

from dataclasses import replace

from evomerge.evaluation import Failure, Objective
from tests.report.run_folders import Scenario, Task, acc

REVERSE = Task("reverse_b", "match", (-2.2, 2.6, 1.5))
SORT = Task("sort_b", "choice", (-0.6, -0.5, 1.6))
NONFINITE = Failure(
    "nonfinite", "tensor 'model.layers.3.mlp.down_proj.weight' holds values that are not finite\nsecond line"
)
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;`|*_"

TWO = Scenario(
    tasks=(REVERSE, SORT),
    experts=("expert_s", "expert_l"),
    objectives=acc("reverse_b.acc", "sort_b.acc"),
    candidates=96,
    failures={17: NONFINITE, 40: Failure("oom", "out of memory"), 41: NONFINITE},
)
THREE = Scenario(
    tasks=(
        Task("gsm_made", "generate", (-1.4, 1.9, 0.4, -0.3)),
        Task("arc_made", "choice", (-0.2, -0.4, 1.3, 0.2)),
        Task("wiki_made", "perplexity", (0.0, -0.3, 0.1, 0.9)),
    ),
    experts=("math-1b", "science-1b-instruct", "prose-1b"),
    objectives=(
        *acc("gsm_made.exact_match,strict-match", "arc_made.acc"),
        Objective("wiki_made.perplexity", ((1.0, "wiki_made.perplexity"),), False),
    ),
    selection_items=50,
    layers=24,
    kinds=True,
    density=True,
    candidates=150,
    batch=16,
    search_items=40,
    test_items=160,
    finalists=14,
)
SINGLE = Scenario(
    tasks=(REVERSE, SORT),
    experts=("expert_s", "expert_l"),
    objectives=(Objective("0.5*reverse_b.acc + 0.5*sort_b.acc", ((0.5, "reverse_b.acc"), (0.5, "sort_b.acc")), True),),
    candidates=72,
    selection_items=40,
    finalists=5,
)
ALL_FAILED = replace(TWO, candidates=5, failures={-1: NONFINITE})
ONE_MEMBER = replace(TWO, candidates=1, failures={})
NONE_BETTER = replace(
    TWO,
    tasks=(Task("reverse_b", "match", (-1.0, 3.0, -3.0), 1.0), Task("sort_b", "choice", (-1.0, -3.0, 3.0), 1.0)),
    candidates=14,
    test_items=80,
    failures={},
)
UNCONFIRMED = replace(TWO, candidates=24, confirm=False, failures={})
CONSTRAINED = replace(
    TWO,
    candidates=36,
    constraints=(
        {"label": "sort_b.acc >= 2", "metric": "sort_b.acc", "sense": ">=", "bound": 2.0, "relative_to": None},
    ),
    confirm=False,
)
MANY = replace(
    THREE,
    tasks=tuple(replace(t, kind="choice", skills=(t.skills[0], *s)) for t, s in zip(
        THREE.tasks, ((1.8, -0.7, -0.6), (-0.7, 1.7, -0.6), (-0.6, -0.7, 1.8)), strict=True)),
    objectives=acc("gsm_made.acc", "arc_made.acc", "wiki_made.acc"),
    layers=6,
    kinds=False,
    density=False,
    candidates=180,
    batch=40,
    finalists=60,
    search_items=40,
    test_items=60,
)  # fmt: skip
HOSTILE_NAMES = replace(
    TWO,
    experts=(
        f"evil{HOSTILE}",
        "ein-sehr-langer-name-" + "x" * 120,
        "專家模型-數學",
        "خبير",
        "expert_5",
        "expert_6",
        "expert_7",
        "😀 seven",
    ),
    tasks=(
        replace(REVERSE, skills=(-2.2, 2.6, 1.5, 0.4, 0.3, 0.2, 0.1, 0.0, -0.2)),
        replace(SORT, name=f"sort{HOSTILE}", skills=(-0.6, -0.5, 1.6, 0.3, 0.5, -0.1, 0.2, 0.1, 0.0)),
    ),
    objectives=acc("reverse_b.acc", f"sort{HOSTILE}.acc"),
    candidates=24,
    test_items=60,
    failures={3: Failure("error", f"Boom {HOSTILE}")},
    texts={"question": HOSTILE, "option": HOSTILE, "answer": HOSTILE},
    manifest={"warnings": [f"a warning {HOSTILE}"]},
)
BRED = replace(TWO, experts=(f"evil{HOSTILE}", "expert_l"), candidates=36, rounds=3, test_items=60, failures={})
PYTHON = replace(TWO, objectives=acc("reverse_b.acc", "python.spread"), candidates=24, failures={}, python=True)
ONLY_PYTHON = replace(PYTHON, objectives=acc("python.spread"))
EVERY = {
    "two": TWO,
    "three": THREE,
    "single": SINGLE,
    "all_failed": ALL_FAILED,
    "one_member": ONE_MEMBER,
    "none_better": NONE_BETTER,
    "unconfirmed": UNCONFIRMED,
    "constrained": CONSTRAINED,
    "many": MANY,
    "hostile": HOSTILE_NAMES,
    "bred": BRED,
    "python": PYTHON,
    "only_python": ONLY_PYTHON,
}

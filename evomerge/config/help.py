"""The pages of ``--help``, from the same declarations that the command line is checked with."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from typing import Any

from evomerge import executors, tracking
from evomerge.config import groups, schema
from evomerge.config.schema import Key
from evomerge.executors import SHARED
from evomerge.options import Option
from evomerge.search import searchers

VERBS = {
    "search": "search for merges of some models that score best on some tasks",
    "check": "say what a search, or another verb, would do: genes, items, memory, disk, seconds, and all that is wrong",
    "fetch": "bring every model, data set and metric of a search onto this machine, for a run without network",
    "merge": "make one merged model from a recipe",
    "build": "build a mixture of experts (Mixtral, Qwen-MoE) of dense models, everything else by any recipe",
    "condense": "merge the experts of a mixture in groups, so that fewer are left, or one: a dense model",
    "transform": "make further experts of experts: by RegMean++, MaTS, PLeaS, or alignment of neurons and heads",
    "layers": "say how much each layer of a model does to its hidden states on texts, so which could go",
    "explain": "say what one tensor of a recipe's model is merged from, and where each value stands",
    "compare": "say whether models can be merged and how alike their deltas are, as a page",
    "evaluate": "score one model on tasks",
    "audit": "judge whether one model beats another, from their answers item by item: ours, lm-eval's, Inspect's",
    "report": "write a run's report, or the page over a sweep's runs, again",
    "status": "say how far a run or a sweep is, who is doing what, and what has failed",
    "submit": "check a search and write its folder with a job for SLURM and one for Kubernetes, whose workers run it",
    "worker": "take candidates of a run that several machines work at, on this one; join and leave at any time",
    "export": "make a model folder of one member of a run's front, and verify it",
    "statistics": "list what is known of models on texts, collect what a search reads or what is named, or remove it",
    "methods": "list the merge methods: what each does and needs, its coefficients and options, paper, and cost",
}

SEARCH_VERBS = ("search", "check", "fetch", "submit")  # they take the words of a search
CHECKED = ("build", "condense", "transform", "layers", "statistics")  # `check VERB` says what they take

_KEYS: Mapping[str, Mapping[str, Key]] = {
    "search": schema.SEARCH,
    "check": schema.SEARCH,
    "fetch": schema.SEARCH,
    "merge": schema.MERGE,
    "build": schema.BUILD,
    "condense": schema.CONDENSE,
    "transform": schema.TRANSFORM,
    "layers": schema.LAYERS,
    "explain": schema.EXPLAIN,
    "compare": schema.COMPARE,
    "evaluate": schema.EVALUATE,
    "audit": schema.AUDIT,
    "report": schema.REPORT,
    "status": schema.STATUS,
    "submit": {**schema.SUBMIT, **schema.SEARCH},
    "worker": schema.WORKER,
    "export": schema.EXPORT,
    "statistics": {**schema.STATISTICS, **schema.COLLECT, **schema.SEARCH},
    "methods": schema.METHODS,
}
_EXAMPLES = {
    "search": (
        "evomerge search models=[A,B] base=C method=ties tasks=[t1,t2] searcher=nsga2 evaluations=200 run_dir=runs/x",
        "evomerge search models=experts.yaml base=C tasks=[my_task] task_path=[my_tasks/] objectives=[my_task.acc]",
        "evomerge search -m seed=0,1,2 method=ties,dare_ties models=[A,B] ... (one run for each combination)",
        "evomerge search recipe=merge.yml tasks=[t1,t2] (the numbers of an existing recipe, starting from it)",
        "evomerge search experiment=example seed=1",
    ),
    "check": (
        "evomerge check models=[A,B] base=C method=ties tasks=[t1,t2]",
        "evomerge check --headers models=[A,B] base=C tasks=[t1,t2] (nothing is scored, so no seconds are told)",
        "evomerge check layers model=A calibration=[texts.jsonl] (so for build, condense, transform and statistics)",
    ),
    "fetch": ("evomerge fetch models=[ORG/A,ORG/B] base=ORG/C tasks=[t1,t2]",),
    "merge": ("evomerge merge recipe=recipe.json out=merged",),
    "build": (
        "evomerge build experts=[A,B] base=C prompts=prompts.json out=mixture",
        "evomerge build experts=[A,B,C] recipe=recipe.json gate=embedding prompts=prompts.json out=mixture",
    ),
    "condense": ("evomerge condense model=mixture experts=2 calibration=[texts.jsonl] out=smaller",),
    "transform": (
        "evomerge transform kind=regmean_plusplus models=[A,B] base=C calibration=[texts.jsonl] out=merged",
        "evomerge transform kind=align models=[A,B] base=C out=aligned (only what gets more alike; no texts)",
    ),
    "layers": (
        "evomerge layers model=A calibration=[texts.jsonl] out=influence.yaml",
        "evomerge search models=[A] method=linear genome.layers=merged genome.influence=influence.yaml tasks=[t1]",
    ),
    "explain": ("evomerge explain recipe=recipe.yml tensor=model.layers.3.mlp.up_proj.weight",),
    "compare": ("evomerge compare models=[A,B] base=C out=comparison.html",),
    "evaluate": ("evomerge evaluate model=merged tasks=[t1,t2]",),
    "audit": (
        "evomerge audit a=samples_gsm8k_A.jsonl b=samples_gsm8k_B.jsonl metric=exact_match,strict-match tried=12",
        "evomerge audit a=runs/x:knee b=runs/x:expert:A c=runs/x:uniform metric=t1.acc cluster=passage json=out.json",
    ),
    "report": ("evomerge report run=runs/x", "evomerge report run=runs/sweep (one page over all runs of a sweep)"),
    "status": ("evomerge status run=runs/x", "evomerge status run=runs/x watch=2 (again every two seconds)"),
    "submit": ("evomerge submit models=[A,B] base=C tasks=[t1,t2] run_dir=/shared/x submit.workers=16 submit.gpus=2",),
    "worker": ("evomerge worker run=runs/x workers=4",),
    "export": (
        "evomerge export run=runs/x member=knee out=merged",
        "evomerge export run=runs/x member=weights:0.7,0.3 out=merged (in the order of the objectives)",
    ),
    "statistics": (
        "evomerge statistics list",
        "evomerge statistics collect models=[A,B] base=C method=fisher tasks=[t1] calibration=[texts.jsonl]",
        "evomerge statistics collect model=A statistic=[block_influence,layer_cka] calibration=[texts.jsonl]",
        "evomerge statistics remove key=[3f2a81] (the beginnings of keys, or key=[all])",
    ),
    "methods": (
        "evomerge methods",
        "evomerge methods name=ties (all of its options)",
        "evomerge methods json=m.json",
    ),
}
_NOTES = """\
Objectives: a metric, t1.acc, or a weighted sum, [0.7*t1.acc + 0.3*t2.acc]. A metric is improved in the direction that
its task declares; a negative weight turns it round (-1*t1.acc makes t1.acc small). Your own functions count as better
the higher they are; one that is to be small says so in its file, after its definition: NAME.higher_is_better = False

The embedded example can be used without a file of your own: models=[example:expert_1,example:expert_2]
base=example:base task_path=[example:tasks] with the tasks exam_a, exam_b, copy_b, translate_b, order_b
"""
_WIDTH = 100


def overview() -> str:
    """The page of ``evomerge --help``."""
    verbs = "\n".join(f"  {name:<10} {doc}" for name, doc in VERBS.items())
    return f"""\
evomerge evolves merges of language models.

  evomerge                      run the embedded example (a few minutes, nothing to prepare)
  evomerge VERB key=value ...   {" | ".join(VERBS)}
  evomerge VERB --help          the keys of a verb

{verbs}

Options: --help, --version, --debug (show where an error comes from), -m (search: one run per combination of values),
--headers (check: from headers and task files alone; without it a few candidates are scored, to tell the seconds).
Exit codes: 0 done, 1 failure, 2 bad input, 130 interrupted. Ctrl-C once finishes the batch and reports, twice stops.
"""


def verb(name: str) -> str:
    """The page of ``evomerge VERB --help``."""
    lines = [f"evomerge {name}: {VERBS[name]}", ""]
    lines += [f"  {example}" for example in _EXAMPLES[name]]
    if name in SEARCH_VERBS:
        lines += ["", "Ready-made settings (group=name; each key of them can be set on its own):"]
        lines += [_entry(group, " | ".join(names)) for group, names in groups.groups().items()]
    lines += ["", "Keys (values as in Hydra; any list can be a YAML file):"]
    lines += [_entry(key, entry.doc + _allowed(entry)) for key, entry in _KEYS[name].items()]
    if name in SEARCH_VERBS:
        lines += ["", "Options of searchers (searcher.options.NAME) and executors (executor.options.NAME):"]
        lines += [_entry(option, text) for option, text in _plugin_options()]
        lines += ["", "Trackers and their options (tracking=[NAME], tracking_options.NAME.OPTION):"]
        lines += [_entry(option, text) for option, text in _trackers()]
        lines += ["", _NOTES.rstrip()]
    return "\n".join(lines) + "\n"


def not_checked(name: str) -> str:
    """Why ``check`` says nothing of a verb, and what to write instead."""
    of_search = name in SEARCH_VERBS
    why = "write a search's words alone" if of_search else f"check foretells a search, {', '.join(CHECKED)}"
    return f"{why}; {name} itself wants: {_EXAMPLES[name][0]} (evomerge {name} --help lists its keys)"


def _plugin_options() -> Iterator[tuple[str, str]]:
    """Each option of a searcher or an executor with its text; those that several share are one entry."""
    specs = [searchers.load(name) for name in searchers.names()] + [executors.load(name) for name in executors.names()]
    owners: dict[tuple[str, Option], list[str]] = {}
    for spec in specs:
        for name, option in spec.options.items():
            if spec.name in searchers.names() or name not in (*SHARED, "device"):  # executors' are keys of their own
                owners.setdefault((name, option), []).append(spec.name)
    for (name, option), names in owners.items():
        yield name, f"{', '.join(names)}: {_explained(option)}"


def _trackers() -> Iterator[tuple[str, str]]:
    """Each tracker with what it is and how to install it, and each option with its text."""
    for name in tracking.names():
        spec = tracking.load(name)
        yield name, f"{spec.title} ({spec.install})" if spec.install else spec.title
        for option, declared in spec.options.items():
            yield f"{name}.{option}", _explained(declared)


def _explained(option: Option) -> str:
    said = [" | ".join(map(str, option.choices))] if option.choices else []
    said += [] if option.default is None else [f"default {option.default}"]
    return option.doc + (f" ({'; '.join(said)})" if said else "")


def _allowed(key: Key) -> str:
    """The names that a key may hold, and its default where that says something."""
    said = [] if key.kind.names is None else [" | ".join(key.kind.names())]
    silent: tuple[Any, ...] = (MISSING, None, {}, "") if key.kind.names is not None else (MISSING, None, (), {}, "")
    if key.default not in silent:
        said.append(f"default {key.kind.shown(key.default)}")
    return f" ({'; '.join(said)})" if said else ""


def _entry(name: str, text: str) -> str:
    body = textwrap.wrap(text, _WIDTH - 34)
    first, *rest = body or [""]
    return "\n".join([f"  {name:<31} {first}", *(" " * 34 + line for line in rest)])

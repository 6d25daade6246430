"""Every key of the configuration: what it may hold, and what it is for. Defaults stand in ``conf/``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.config import model_names
from evomerge.config.value_types import (
    Kind,
    choice,
    integer,
    listed,
    mapping,
    metric_texts,
    number,
    optional,
    paths,
    patterns,
    regular_expression,
    shares,
    size,
    text,
    texts,
    truth,
)
from evomerge.errors import suggest
from evomerge.evaluation import SPLITS

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Key:
    """One key: the kind of its value, and a sentence for ``--help``."""

    kind: Kind
    doc: str


def conf_folder() -> Path:
    """The folder of YAML files: inside the package once it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def groups() -> dict[str, tuple[str, ...]]:
    """The groups of ready-made settings and the names in each."""
    folder = conf_folder()
    return {
        group: tuple(sorted(file.stem for file in (folder / group).glob("*.yaml")))
        for group in ("genome", "fitness", "searcher", "executor", "experiment")
    }


def method_names() -> tuple[str, ...]:
    """Names of the merge methods: the files of their folder, read without importing any."""
    folder = Path(__file__).resolve().parent.parent / "methods"
    return tuple(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))


def _checkpoint(value: Any) -> Any:
    return model_names.read_checkpoint(value)


def _checkpoints(value: Any) -> tuple[Any, ...]:
    return tuple(model_names.read_checkpoint(entry) for entry in listed(value))


def _tasks(value: Any) -> tuple[str | dict[str, Any], ...]:
    found: list[str | dict[str, Any]] = []
    for entry in listed(value, only_lists=True):
        if isinstance(entry, Mapping):
            if not isinstance(entry.get("task"), str):
                raise ValueError("a task's mapping needs its name under 'task'")
            found.append({str(name): inner for name, inner in entry.items()})
        elif isinstance(entry, str) and entry:
            found.append(entry)
        else:
            raise ValueError
    return tuple(found)


_CHECKPOINT = Kind("a folder, a hub id such as ORG/NAME, or a mapping with source and revision", _checkpoint, text=True)
_CHECKPOINTS = Kind("a list of folders or hub ids such as [A,B], or a YAML file with one", _checkpoints, many=True)
_TASKS = Kind("a list of task names such as [a,b], or a YAML file with one", _tasks, many=True)
_COUNT = optional(integer(1))

_MODELS = {
    "models": Key(_CHECKPOINTS, "the models to merge: folders or hub ids"),
    "base": Key(optional(_CHECKPOINT), "the model that the others were fine-tuned from"),
    "method": Key(choice(method_names), "how tensors are merged"),
    "method_options": Key(mapping(), "settings of the method, see `evomerge check`"),
}
_TASK_KEYS = {
    "tasks": Key(_TASKS, "lm-eval tasks or groups, built-in or your own"),
    "task_path": Key(paths(), "folders or files with your own tasks (YAML)"),
}
_FITNESS = {
    "fitness.num_fewshot": Key(optional(integer(0)), "examples before each question; null: the task's own number"),
    "fitness.apply_chat_template": Key(truth(), "put questions into the tokenizer's chat template"),
    "fitness.fewshot_as_multiturn": Key(truth(), "show the examples as turns of a conversation"),
    "fitness.system_instruction": Key(optional(text()), "the system message"),
    "fitness.fewshot_seed": Key(integer(0), "of the draw of those examples; lm-eval's own is 1234"),
    "fitness.gen_kwargs": Key(mapping(), "settings of generation, over the task's own"),
    "fitness.splits": Key(shares(SPLITS), "shares of the items for search, selection and test"),
    "fitness.batch_size": Key(integer(0), "most rows per forward pass; 0: chosen from a token budget"),
    "fitness.prefixes": Key(
        choice(("auto", "shared", "plain")), "compute shared beginnings once; auto: where the model answers the same"
    ),
    "fitness.max_length": Key(_COUNT, "longest sequence in tokens; null: the model's own"),
}
_RUNTIME = {
    "model.dtype": Key(
        choice(("auto", *PRECISIONS)), "what the model computes in; auto: half precision where weights and machine suit"
    ),
    "model.attention": Key(
        choice(("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention")), "attention code"
    ),
    "model.device": Key(text(), "cpu, cuda, cuda:1, ... ; auto: a GPU where there is one"),
    "model.threads": Key(optional(integer(1)), "threads per worker; null: as the run began, else measured"),
    "model.trust_remote_code": Key(truth(), "run model code that comes with a checkpoint"),
}
_DTYPES = {
    "model.out_dtype": Key(
        choice(("auto", *PRECISIONS)), "what merged weights are rounded to; auto: what the reference model is stored in"
    ),
    "model.merge_dtype": Key(choice(PRECISIONS), "what the inputs are read as; arithmetic is float32"),
}
_PREPARED = {
    "model.prepared_disk": Key(size(), "most bytes, in the run's folder, of what methods prepare; 0: never there"),
    "model.prepared_memory": Key(size(), "most bytes of the same in each worker's memory, of what is not on disk"),
}
_SEED = {"seed": Key(integer(0, 2**63 - 1), "the one seed that everything random follows from")}
_OFFLINE = {"offline": Key(optional(truth()), "never ask the hub; null: unless a hub id or a built-in task needs it")}
_LAYOUTS = ("model", "blocks", "layer", "linear", "smooth")
_GENOME = {
    "genome.layout": Key(choice(_LAYOUTS), "how coefficients may differ over depth"),
    "genome.block_size": Key(integer(1), "layers per block, for layout blocks"),
    "genome.control_points": Key(integer(2), "support points over depth, for layout smooth"),
    "genome.basis": Key(choice(("points", "cosine")), "curve through the control points"),
    "genome.split_kinds": Key(truth(), "attention and MLP get coefficients of their own"),
    "genome.own_groups": Key(texts(), "module kinds outside the layers that form groups of their own"),
    "genome.frozen": Key(texts(), "module kinds or groups that stay the reference model's"),
    "genome.fixed": Key(mapping(), "values that are not searched, {group: {coefficient: value}}"),
    "genome.bounds": Key(mapping(), "search range per coefficient, {weight: [-0.5, 1.5]}"),
    "genome.shared": Key(texts(), "coefficients with one value for the whole depth"),
}
_SEARCH = {
    "searcher.name": Key(text(), "the algorithm"),
    "searcher.population": Key(optional(integer(2)), "candidates per batch; null: the algorithm's own number"),
    "searcher.options": Key(mapping(), "further settings of the algorithm"),
    "executor.name": Key(choice(("local", "processes")), "where candidates are scored"),
    "executor.workers": Key(integer(1), "how many processes"),
}
_LIMITS = {
    "objectives": Key(metric_texts(), "what to improve: [t1.acc,t2.acc_norm], see below"),
    "constraints": Key(metric_texts(), "what must hold: ['all.acc >= base - 0.01']"),
    "patterns": Key(patterns(), "tensor names to module kinds, tried before the built-in ones: [[attention, 'mixer']]"),
    "layer_pattern": Key(optional(regular_expression()), "finds the layer index in tensor names; null: built in"),
    "functions": Key(texts(), "your own metrics, FILE.py:NAME, called with (model, tokenizer); used as python.NAME"),
    "evaluations": Key(_COUNT, "how many candidates to score"),
    "items_per_task": Key(_COUNT, "items of the search split per task; null: all"),
    "test_items_per_task": Key(_COUNT, "items of the test split per task; null: all"),
    "run_dir": Key(optional(text()), "the run's folder; null: runs/ and the run's identity"),
    "start_from": Key(optional(text()), "another run's folder, whose front joins the first batch"),
    "budgets.items": Key(_COUNT, "stop after so many scored items"),
    "budgets.seconds": Key(optional(number(above=0)), "stop after so many seconds"),
    "budgets.patience": Key(_COUNT, "stop after so many batches without improvement"),
    "max_failures": Key(integer(1), "so many failed candidates in a row end the run"),
    "confirm.finalists": Key(integer(0), "how many members are scored on the test split"),
    "progress": Key(choice(("auto", "line", "lines", "none")), "live progress; auto: one line on a terminal"),
}
_SHARD = {"max_shard_size": Key(text(), "largest file, such as 5GB")}
_RECIPE_FILE = {"recipe": Key(text(), "a recipe.json"), "out": Key(text(), "the folder to make")}

SEARCH: Mapping[str, Key] = {
    **_MODELS,
    **_TASK_KEYS,
    **_LIMITS,
    **_SEED,
    **_OFFLINE,
    **_GENOME,
    **_FITNESS,
    **_SEARCH,
    **_RUNTIME,
    **_DTYPES,
    **_PREPARED,
}
EVALUATE: Mapping[str, Key] = {
    "model": Key(_CHECKPOINT, "the model: a folder or a hub id"),
    **_TASK_KEYS,
    "split": Key(choice(("search", "selection", "test", "all")), "which items"),
    "items_per_task": Key(_COUNT, "items per task; null: all"),
    **_SEED,
    **_OFFLINE,
    "out": Key(optional(text()), "a JSON file for the scores and answers"),
    **_FITNESS,
    **_RUNTIME,
}
MERGE: Mapping[str, Key] = {
    **_RECIPE_FILE,
    **_SHARD,
    **_OFFLINE,
    "device": Key(text(), "where tensors are merged: cpu, cuda, ..."),
}
REPORT: Mapping[str, Key] = {"run": Key(text(), "a run's folder")}
EXPORT: Mapping[str, Key] = {
    "run": Key(text(), "a run's folder"),
    "member": Key(text(), "an id from front.json, knee, or best:TASK"),
    "out": Key(text(), "the folder to make"),
    **_SHARD,
    **_OFFLINE,
    "trust_remote_code": Key(truth(), "run model code that comes with the checkpoints, if the run did"),
}

# Words of other tools, and where evomerge has them.
_SYNONYMS = {
    "algorithm": "searcher",
    "attn_implementation": "model.attention",
    "base_model": "base",
    "budget": "evaluations",
    "chat_template": "fitness.apply_chat_template",
    "dtype": "model.dtype",
    "experts": "models",
    "include_path": "task_path",
    "limit": "items_per_task",
    "max_fevals": "evaluations",
    "merge_method": "method",
    "output_dir": "run_dir",
    "random_seed": "seed",
    "timeout": "budgets.seconds",
}


def free_key(key: str, known: Mapping[str, Key]) -> str | None:
    """The key whose mapping a dotted key reaches into: ``method_options`` for ``method_options.density``."""
    return next((name for name, entry in known.items() if entry.kind.free and key.startswith(f"{name}.")), None)


def sections(known: Mapping[str, Key]) -> set[str]:
    """First parts of the dotted keys."""
    return {name.split(".")[0] for name in known if "." in name}


def unknown(key: str, known: Mapping[str, Key], also: Sequence[str] = ()) -> str:
    """The message for a key that does not exist, with the one that was probably meant.

    Args:
        key: What came.
        known: The keys of the verb.
        also: Names of groups that may be chosen.
    """
    if key in sections(known) and key not in also:
        inner = ", ".join(sorted(name for name in known if name.startswith(f"{key}.")))
        hint = suggest(key, [name for name in known if "." not in name])
        return f"{key}: a section, not a key{hint or f'; its keys are {inner}'}"
    by_last = {_last(name): name for name in known}
    meant = _SYNONYMS.get(key.replace("-", "_")) or by_last.get(key)
    hint = f"; did you mean {meant!r}?" if meant in known or meant in also else suggest(key, [*known, *also])
    if not hint:
        close = difflib.get_close_matches(_last(key), list(by_last), n=1)
        hint = f"; did you mean {by_last[close[0]]!r}?" if close else "; `evomerge VERB --help` lists the keys"
    return f"{key}: unknown key{hint}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]

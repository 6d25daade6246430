"""The keys of every verb, derived from the dataclasses that its configuration is made of."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from evomerge.config.kinds import kind_of
from evomerge.config.value_types import Kind
from evomerge.errors import suggest
from evomerge.run.audit.config import AuditConfig
from evomerge.run.cluster.settings import SubmitSettings, WorkerConfig
from evomerge.run.configs.layers import LayersConfig
from evomerge.run.configs.mixtures import BuildConfig, CondenseConfig
from evomerge.run.configs.statistics import CollectConfig, StatisticsFolderConfig
from evomerge.run.configs.verbs import (
    CompareConfig,
    EvaluateConfig,
    ExplainConfig,
    ExportConfig,
    MergeConfig,
    MethodsConfig,
    ReportConfig,
    TransformConfig,
)
from evomerge.run.run_config import RunConfig
from evomerge.run.status.config import StatusConfig
from evomerge.settings import Declared, declared


@dataclass(frozen=True)
class Key:
    """One key of the command line.

    Attributes:
        kind: Reads its value.
        doc: One sentence for ``--help``.
        default: The value if nothing is said; ``dataclasses.MISSING`` where one has to be given.
    """

    kind: Kind
    doc: str
    default: Any

    @classmethod
    def of(cls, setting: Declared) -> Key:
        """The key of a declared setting."""
        return cls(kind_of(setting), setting.setting.help, setting.default)


def _keys(config: type) -> Mapping[str, Key]:
    return {name: Key.of(setting) for name, setting in declared(config).items()}


SEARCH = _keys(RunConfig)
EVALUATE = _keys(EvaluateConfig)
MERGE = _keys(MergeConfig)
BUILD = _keys(BuildConfig)
CONDENSE = _keys(CondenseConfig)
LAYERS = _keys(LayersConfig)
COMPARE = _keys(CompareConfig)
AUDIT = _keys(AuditConfig)
EXPLAIN = _keys(ExplainConfig)
TRANSFORM = _keys(TransformConfig)
REPORT = _keys(ReportConfig)
STATUS = _keys(StatusConfig)
METHODS = _keys(MethodsConfig)
EXPORT = _keys(ExportConfig)
STATISTICS = _keys(StatisticsFolderConfig)
COLLECT = _keys(CollectConfig)
WORKER = _keys(WorkerConfig)
SUBMIT = {name: Key.of(setting) for name, setting in declared(SubmitSettings, "submit.").items()}


def defaults(known: Mapping[str, Key]) -> dict[str, Any]:
    """Key to default, for every key that has one."""
    return {name: key.default for name, key in known.items() if key.default is not MISSING}


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

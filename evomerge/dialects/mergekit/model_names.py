"""Names of models: ``PATH@REVISION+ADAPTER@REVISION``, or the same as a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.dialects.mergekit.fields import mapping, shown, text
from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, CheckpointRef


@dataclass(frozen=True)
class ModelName:
    """The name of a model in a configuration, by which models are one or different ones.

    Attributes:
        path: Folder, hub id, or the name of another document.
        revision: Branch, tag or commit on the hub.
        adapter: Path and revision of a LoRA adapter on it.
    """

    path: str
    revision: str | None = None
    adapter: tuple[str, str | None] | None = None

    def __str__(self) -> str:
        """The name as mergekit writes it."""
        model = self.path if self.revision is None else f"{self.path}@{self.revision}"
        if self.adapter is None:
            return model
        path, revision = self.adapter
        return f"{model}+{path}" if revision is None else f"{model}+{path}@{revision}"

    def source(self) -> CheckpointRef | AdapterRef:
        """The model as recipes name it."""
        on = CheckpointRef(self.path, self.revision)
        return on if self.adapter is None else AdapterRef(self.adapter[0], on, self.adapter[1])

    @classmethod
    def of(cls, source: CheckpointRef | AdapterRef) -> ModelName:
        """The name of a recipe's source; of a folder that has a hub id, the hub id."""
        if isinstance(source, AdapterRef):
            on = cls.of(source.on)
            return cls(on.path, on.revision, (source.source, source.revision))
        return cls(source.source, source.revision) if source.hub_id is None else cls(source.hub_id)

    def written(self) -> Any:
        """The name for YAML: a text, or a mapping where the text would be read as another name."""
        parts = [self.path, *([] if self.adapter is None else [self.adapter[0]])]
        if not any(mark in part for part in parts for mark in "+@"):
            return str(self)
        lora = {} if self.adapter is None else {"lora": _part(*self.adapter)}
        return {"model": _part(self.path, self.revision), **lora}


def model_name(value: Any, where: str) -> ModelName:
    """Reads the name of a model.

    Raises:
        InputError: If it is none.
    """
    if isinstance(value, Mapping):
        found = mapping(value, where, {"model": _path, "lora": _path, "override_architecture": _refused}, ("model",))
        path, revision = found["model"]
        return ModelName(path, revision, found.get("lora"))
    model, *adapters = text(value, where).split("+")
    if len(adapters) > 1:
        raise InputError(f"{where} is {shown(value)}; expected MODEL or MODEL+ADAPTER, with one adapter")
    path, revision = _path(model, where)
    return ModelName(path, revision, _path(adapters[0], where) if adapters else None)


def _path(value: Any, where: str) -> tuple[str, str | None]:
    if isinstance(value, Mapping):
        found = mapping(value, where, {"path": text, "revision": text}, ("path",))
        return found["path"], found.get("revision")
    path, *revisions = text(value, where).split("@")
    if len(revisions) > 1 or not path or revisions == [""]:
        raise InputError(f"{where} is {shown(value)}; expected a folder, a hub id or HUB_ID@REVISION")
    return path, revisions[0] if revisions else None


def _refused(value: Any, where: str) -> None:
    raise InputError(f"{where} is not supported: what a model is follows from its own config.json; leave it out")


def _part(path: str, revision: str | None) -> dict[str, str]:
    return {"path": path} if revision is None else {"path": path, "revision": revision}

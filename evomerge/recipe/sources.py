"""References to what a recipe merges: checkpoints, and adapters on checkpoints.

The third kind of source, another recipe, is a `Recipe` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CheckpointRef:
    """Names one checkpoint.

    Attributes:
        source: Folder or hub id, as the user wrote it.
        revision: Branch, tag or commit on the hub; None for a folder.
        fingerprint: SHA-256 of the weights' content. Where it is known it alone identifies the checkpoint, so a moved
            folder is still the same model.
        hub_id: The hub name that a model card should cite when ``source`` is a folder.
    """

    source: str
    revision: str | None = None
    fingerprint: str | None = None
    hub_id: str | None = None

    @property
    def label(self) -> str:
        """The short name shown to people: the last part of the path or hub id."""
        return short_name(self.source)

    @property
    def place(self) -> tuple[str | None, ...]:
        """Where it lies, as the user wrote it: the same for the same checkpoint, whatever is known of it."""
        return self.source, self.revision

    @property
    def known_by_content(self) -> bool:
        """Whether :meth:`identity` means the same weights anywhere."""
        return self.fingerprint is not None

    def identity(self) -> dict[str, Any]:
        """The part of a recipe's digest that stands for this checkpoint."""
        return _identity(self.source, self.revision, self.fingerprint)

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object, as manifests and recipes of format 1 hold it."""
        return {
            "source": self.source,
            "revision": self.revision,
            "fingerprint": self.fingerprint,
            "hub_id": self.hub_id,
        }

    def to_source(self) -> dict[str, Any]:
        """The JSON object that recipes of format 2 hold, without empty fields."""
        fields = {"checkpoint": self.source, "revision": self.revision, "fingerprint": self.fingerprint}
        return without_empty({**fields, "hub_id": self.hub_id})


@dataclass(frozen=True)
class AdapterRef:
    """Names one adapter and the checkpoint that it was trained on.

    Attributes:
        source: Folder or hub id of the adapter, as the user wrote it.
        on: The checkpoint.
        revision: Branch, tag or commit of the adapter on the hub; None for a folder.
        fingerprint: SHA-256 of the adapter's content, which then alone identifies it.
        hub_id: The hub name that a model card should cite when ``source`` is a folder.
    """

    source: str
    on: CheckpointRef
    revision: str | None = None
    fingerprint: str | None = None
    hub_id: str | None = None

    @property
    def label(self) -> str:
        """The short name shown to people: the last part of the path or hub id."""
        return short_name(self.source)

    @property
    def place(self) -> tuple[str | None, ...]:
        """Where it and its checkpoint lie, as the user wrote it."""
        return self.source, self.revision, *self.on.place

    @property
    def known_by_content(self) -> bool:
        """Whether :meth:`identity` means the same weights anywhere."""
        return self.fingerprint is not None and self.on.known_by_content

    def identity(self) -> dict[str, Any]:
        """The part of a recipe's digest that stands for this adapter."""
        return {"adapter": _identity(self.source, self.revision, self.fingerprint), "on": self.on.identity()}

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object, as manifests hold it."""
        return {
            "source": self.source,
            "revision": self.revision,
            "fingerprint": self.fingerprint,
            "hub_id": self.hub_id,
            "on": self.on.to_json(),
        }

    def to_source(self) -> dict[str, Any]:
        """The JSON object that recipes hold, without empty fields."""
        fields = {"adapter": self.source, "revision": self.revision, "fingerprint": self.fingerprint}
        return without_empty({**fields, "hub_id": self.hub_id}) | {"on": self.on.to_source()}


ModelRef = CheckpointRef | AdapterRef
"""Names a model of the user's list: a whole one, or an adapter on one."""


def short_name(source: str) -> str:
    """The last part of a path or hub id."""
    return source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1] or source


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something: not None, not False, not an empty text, list or object. Zeros stay."""
    return {name: value for name, value in fields.items() if not _empty(value)}


def _empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def _identity(source: str, revision: str | None, fingerprint: str | None) -> dict[str, Any]:
    if fingerprint is not None:
        return {"fingerprint": fingerprint}
    return {"source": source, "revision": revision}

"""A reference to a checkpoint: where it is, and which weights it holds."""

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
        return self.source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1] or self.source

    def identity(self) -> dict[str, Any]:
        """What takes part in a recipe's digest."""
        if self.fingerprint is not None:
            return {"fingerprint": self.fingerprint}
        return {"source": self.source, "revision": self.revision}

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {
            "source": self.source,
            "revision": self.revision,
            "fingerprint": self.fingerprint,
            "hub_id": self.hub_id,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | str) -> CheckpointRef:
        """Reads what :meth:`to_json` wrote; a plain string is a source."""
        if isinstance(data, str):
            return cls(data)
        return cls(data["source"], data.get("revision"), data.get("fingerprint"), data.get("hub_id"))

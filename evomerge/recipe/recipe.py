"""The recipe value, its JSON form and its digest."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.errors import InputError, suggest
from evomerge.recipe.checkpoint import CheckpointRef
from evomerge.recipe.groups import ParameterGroups

FORMAT = 1
DTYPES = ("float32", "bfloat16", "float16")
_FIELDS = (
    "format", "method", "options", "models", "base", "groups", "coefficients", "layout", "dtype", "out_dtype",
    "tokenizer", "chat_template", "seed",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything needed to build one merged model.

    Attributes:
        method: Name of the merge method.
        options: The method's options, defaults filled in.
        models: The checkpoints to merge, in the order of the coefficients' last axis.
        base: The checkpoint that deltas are taken from, or None.
        groups: Which tensors share coefficients.
        coefficients: Name to values: ``(groups, models)`` where each model has its own, else ``(groups,)``. Rows of
            frozen groups are not used.
        layout: Reserved for stacked and swapped layers: the (model, layer) that each output layer comes from.
        dtype: Inputs are rounded to it before anything is computed; the arithmetic itself is in float32.
        out_dtype: What the merged tensors are rounded to.
        tokenizer: Whose tokenizer the model gets; ``reference`` is that of :attr:`reference`.
        chat_template: Whose chat template the model gets.
        seed: Root of the method's random masks.
        format: Version of this form.
    """

    method: str
    options: Mapping[str, Any]
    models: tuple[CheckpointRef, ...]
    base: CheckpointRef | None
    groups: ParameterGroups
    coefficients: Mapping[str, np.ndarray] = field(default_factory=dict)
    layout: tuple[tuple[int, int], ...] | None = None
    dtype: str = "float32"
    out_dtype: str = "bfloat16"
    tokenizer: str = "reference"
    chat_template: str = "reference"
    seed: int = 0
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Makes the arrays read-only and refuses shapes and values that no model can be built from."""
        problems = []
        frozen = {}
        for name, values in self.coefficients.items():
            array = np.array(values, dtype=np.float64)
            array.setflags(write=False)
            frozen[name] = array
            shapes = {(len(self.groups.groups), len(self.models)), (len(self.groups.groups),)}
            if array.shape not in shapes:
                problems.append(f"coefficient {name!r} has shape {array.shape}; expected one of {sorted(shapes)}")
            elif not np.isfinite(array).all():
                problems.append(f"coefficient {name!r} holds values that are not finite")
        for what in ("dtype", "out_dtype"):
            if getattr(self, what) not in DTYPES:
                problems.append(f"{what} is {getattr(self, what)!r}; known are {', '.join(DTYPES)}")
        if not self.models:
            problems.append("a recipe needs at least one model")
        if problems:
            raise InputError(problems)
        object.__setattr__(self, "coefficients", frozen)

    @property
    def reference(self) -> CheckpointRef:
        """The checkpoint that config, tokenizer and frozen tensors come from: the base, else the first model."""
        return self.base if self.base is not None else self.models[0]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, with checkpoints named by their content where it is known."""
        data = self.to_json()
        data["models"] = [model.identity() for model in self.models]
        data["base"] = self.base.identity() if self.base else None
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        """Equal recipes build equal models."""
        return isinstance(other, Recipe) and self.digest == other.digest

    def __hash__(self) -> int:
        """Follows :meth:`__eq__`."""
        return hash(self.digest)

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return {
            "format": self.format,
            "method": self.method,
            "options": dict(self.options),
            "models": [model.to_json() for model in self.models],
            "base": self.base.to_json() if self.base else None,
            "groups": self.groups.to_json(),
            "coefficients": {name: array.tolist() for name, array in self.coefficients.items()},
            "layout": [list(pair) for pair in self.layout] if self.layout else None,
            "dtype": self.dtype,
            "out_dtype": self.out_dtype,
            "tokenizer": self.tokenizer,
            "chat_template": self.chat_template,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Reads what :meth:`to_json` wrote.

        Raises:
            InputError: If fields are unknown or missing, or the format is a newer one.
        """
        problems = [f"unknown field {key!r} in the recipe{suggest(key, _FIELDS)}" for key in data if key not in _FIELDS]
        needed = ("method", "models", "groups", "coefficients")
        problems += [f"the recipe has no field {key!r}" for key in needed if key not in data]
        if data.get("format", FORMAT) != FORMAT:
            problems.append(f"the recipe has format {data['format']}; this version reads format {FORMAT}")
        if problems:
            raise InputError(problems)
        layout = data.get("layout")
        return cls(
            method=data["method"],
            options=dict(data.get("options") or {}),
            models=tuple(CheckpointRef.from_json(model) for model in data["models"]),
            base=CheckpointRef.from_json(data["base"]) if data.get("base") else None,
            groups=ParameterGroups.from_json(data["groups"]),
            coefficients={name: np.asarray(values, dtype=np.float64) for name, values in data["coefficients"].items()},
            layout=tuple((int(a), int(b)) for a, b in layout) if layout else None,
            **{key: data[key] for key in _FIELDS[8:] if key in data},
        )

    def save(self, path: str | Path) -> None:
        """Writes the JSON form, indented for people."""
        Path(path).write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Reads a file that :meth:`save` wrote.

        Raises:
            InputError: If the file is missing, is not JSON, or is not a recipe.
        """
        try:
            data = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"there is no recipe file {str(path)!r}") from error
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(f"the recipe file {str(path)!r} cannot be read as JSON: {error}") from error
        if not isinstance(data, dict):
            raise InputError(f"the recipe file {str(path)!r} holds a {type(data).__name__}; expected an object")
        return cls.from_json(data)

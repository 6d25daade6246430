"""Keys of statistics: a digest of everything that changes their values, and of nothing else."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from evomerge.statistics._shared.registry import load
from evomerge.statistics._shared.texts import Calibration


@dataclass(frozen=True)
class Wanted:
    """A statistic with its options.

    Attributes:
        statistic: Its name.
        options: Those that differ from the defaults.
    """

    statistic: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Keyed:
    """A statistic of a model on texts.

    Attributes:
        wanted: The statistic.
        about: Everything that its values depend on, as JSON.
    """

    wanted: Wanted
    about: Mapping[str, Any]

    @classmethod
    def of(cls, wanted: Wanted, fingerprint: str, calibration: Calibration, dtype: str = "float32") -> Self:
        """The statistic of a model on texts.

        Args:
            wanted: The statistic.
            fingerprint: Of the model's checkpoint.
            calibration: The texts.
            dtype: The type that the model computes in, such as ``float32``.

        Raises:
            InputError: If there is no such statistic, or an option is wrong.
        """
        statistic = load(wanted.statistic)
        about: dict[str, Any] = {
            "statistic": statistic.name,
            "version": statistic.version,
            "options": statistic.resolve(wanted.options),
            "model": fingerprint,
            "texts": calibration.digest,
            "tokens": calibration.tokens,
            "dtype": dtype,
        }
        if statistic.backward:  # of each batch; which tokens are answers is part of the texts
            about["loss"] = "mean cross entropy of scored tokens"
        return cls(wanted, about)

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 of the JSON: 64 hex digits."""
        text = json.dumps(self.about, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def key_of(wanted: Wanted, fingerprint: str, calibration: Calibration, dtype: str = "float32") -> str:
    """The key of a statistic of a model on texts, see :class:`Keyed`."""
    return Keyed.of(wanted, fingerprint, calibration, dtype).key

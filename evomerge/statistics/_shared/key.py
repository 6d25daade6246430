"""Keys of statistics: a digest of everything that changes their values, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


def described(wanted: Wanted, fingerprint: str, calibration: Calibration, dtype: str = "float32") -> dict[str, Any]:
    """Everything that the values of a statistic depend on, as JSON.

    Args:
        wanted: The statistic.
        fingerprint: Of the model's checkpoint.
        calibration: The texts.
        dtype: The type that the model computes in.

    Raises:
        InputError: If there is no such statistic, or an option is wrong.
    """
    statistic = load(wanted.statistic)
    found: dict[str, Any] = {
        "statistic": statistic.name,
        "version": statistic.version,
        "options": statistic.resolve(wanted.options),
        "model": fingerprint,
        "texts": calibration.digest,
        "tokens": calibration.tokens,
        "dtype": dtype,
    }
    if statistic.backward:  # of one sequence; which of its tokens are answers is part of the texts
        found["loss"] = "mean cross entropy of answer tokens"
    return found


def key_of(wanted: Wanted, fingerprint: str, calibration: Calibration, dtype: str = "float32") -> str:
    """The key of a statistic: 64 hex digits.

    Args:
        wanted: The statistic.
        fingerprint: Of the model's checkpoint.
        calibration: The texts.
        dtype: The type that the model computes in.

    Raises:
        InputError: If there is no such statistic, or an option is wrong.
    """
    about = described(wanted, fingerprint, calibration, dtype)
    return digest_of(about)


def digest_of(about: Mapping[str, Any]) -> str:
    """SHA-256 of canonical JSON."""
    text = json.dumps(about, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

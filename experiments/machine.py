"""What figures were taken on."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def processor() -> str:
    """The processor's name."""
    place = Path("/proc/cpuinfo")
    lines = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def machine(*libraries: str) -> dict[str, Any]:
    """Processor, date, and versions of Python and of some libraries."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in libraries}}
    return {"cpu": processor(), "date": datetime.now(UTC).date().isoformat(), "versions": versions}

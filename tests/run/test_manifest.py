"""The manifest holds what README says that it holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.run.family import ROOT

# Only where a run goes on with other versions than it began with, where not all candidates are asked all items, and
# where steps follow the merge, and where statistics are read.
SOMETIMES = {"versions_at_start", "allocation", "post", "statistics", "measures", "cells"}


def test_readme_tells_the_fields(finished: Path) -> None:
    fields = set(json.loads((finished / "manifest.json").read_text(encoding="utf-8")))
    (row,) = re.findall(
        r"^\| `manifest\.json` \|(.*)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    told = set(re.findall(r"`(\w+)`", row))
    assert told - SOMETIMES == fields - SOMETIMES, "README's row of manifest.json tells every field, and no other"

"""Every test in this folder needs a CUDA GPU; elsewhere they are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.merging.conftest import family as family  # the fixture of the same name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder, and skips them where they cannot run."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))

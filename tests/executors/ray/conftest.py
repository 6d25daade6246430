"""A real Ray cluster of several nodes on this machine. Ray is an extra, so these tests run where it is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.run.family import Family, write_family

STORE = 80 * 2**20  # the smallest that Ray takes


# Words of a search whose number type and requests are not measured first.
SMALL = {"evaluations": 30, "model.dtype": "float32", "fitness.prefixes": "plain"}
# A metric of the user's that takes its time where it is told to.
UNHURRIED = """
import os
import time


def calm(model, tokenizer):
    time.sleep(float(os.environ.get("EVOMERGE_TEST_SLEEP", "0")))
    return 1.0
"""


def unhurried(folder: Path) -> str:
    """The word for a metric that takes ``EVOMERGE_TEST_SLEEP`` seconds: nodes go while candidates are scored."""
    (folder / "unhurried.py").write_text(UNHURRIED)
    return f"[{folder / 'unhurried.py'}:calm]"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They take their time, as each node is several processes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head without room for workers, and a node with two CPUs; this process is connected to it."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'evomerge[ray]'")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    # A node that is silent for 5 seconds rather than 15 is given up.
    made = Cluster(initialize_head=True, head_node_args={**head, "_system_config": {"health_check_period_ms": 1000}})
    made.add_node(num_cpus=2, object_store_memory=STORE)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """Made once."""
    return write_family(tmp_path_factory.mktemp("family"))

"""Processes of tests that start in no time: forks of a clean one that has loaded everything once."""

from __future__ import annotations

import multiprocessing

__all__ = ["SERVER"]

# There is one such process for all tests of a session, so what it loads is said in one place: a second list would
# replace the first, and every process load the rest itself.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["tests.search.killing", "tests.run.test_status", "evomerge.search.searchers._shared.pymoo_adapter", "cma"]
)

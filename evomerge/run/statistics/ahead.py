"""Collecting the statistics of a search ahead of it, or without it."""

from __future__ import annotations

from collections.abc import Callable

from evomerge.errors import InputError
from evomerge.run.assemble import Assembly, assemble, with_fingerprints
from evomerge.run.run_config import RunConfig
from evomerge.run.statistics.collecting import Collector
from evomerge.run.statistics.required import Required


def collect(
    config: RunConfig, say: Callable[[str], None] = lambda _: None, stop: Callable[[], str] = lambda: "none"
) -> tuple[tuple[Required, ...], Collector, frozenset[str]]:
    """Collects what the candidates of a search read.

    Args:
        config: The search.
        say: Told what is collected.
        stop: Asked whether to stop, see :func:`evomerge.run.search.search`.

    Returns:
        The statistics, each once, what has collected them, and the keys of those that were not there.

    Raises:
        InputError: With everything that is wrong, or if they read nothing.
    """
    assembly = with_fingerprints(assemble(config), say)
    if not assembly.statistics:
        raise InputError(f"method: neither {assembly.method.name} nor a step reads statistics of texts")
    collector = collector_of(assembly, stop)
    fresh = frozenset(one.key for one in collector.collect(assembly.statistics, say))
    return tuple({one.key: one for one in assembly.statistics}.values()), collector, fresh


def collector_of(assembly: Assembly, stop: Callable[[], str] = lambda: "none") -> Collector:
    """Collects the statistics of a search.

    Args:
        assembly: The search.
        stop: Asked whether to stop, see :func:`evomerge.run.search.search`.
    """
    config, checkpoints = assembly.config, assembly.checkpoints
    return Collector(config, checkpoints, assembly.device, assembly.attention, stop)

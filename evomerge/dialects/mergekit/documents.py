"""Several configurations in one file: which of them is the result, and which checkpoints they name."""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.dialects.mergekit.config import Configuration
from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, CheckpointRef


def references(configurations: Sequence[Configuration]) -> tuple[CheckpointRef, ...]:
    """The checkpoints that configurations name, each once: the result's own base or first model before the others.

    Raises:
        InputError: If it is not clear which document is the result.
    """
    result = result_of(configurations)
    ordered = [result, *(other for other in configurations if other is not result)]
    documents = {other.name for other in configurations}
    found: dict[CheckpointRef, None] = {}
    for configuration in ordered:
        for name in configuration.names():
            if name.path not in documents:
                source = name.source()
                found.setdefault(source.on if isinstance(source, AdapterRef) else source)
    return tuple(found)


def result_of(configurations: Sequence[Configuration]) -> Configuration:
    """The document whose model is asked for: the one without a name, or else the one that no other names.

    Raises:
        InputError: If several could be.
    """
    nameless = [configuration for configuration in configurations if configuration.name is None]
    if nameless:
        return nameless[0]
    used = {name.path for other in configurations for name in other.names() if name.path != other.name}
    last = [configuration for configuration in configurations if configuration.name not in used]
    if len(last) != 1:
        told = ", ".join(str(other.name) for other in last) or "none: they name each other"
        where = configurations[0].where.partition(",")[0]
        raise InputError(f"{where}: one document must be the result, and these could be: {told}. Leave its name out")
    return last[0]

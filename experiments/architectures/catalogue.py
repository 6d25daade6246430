"""The architectures of the table, in its order."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.architectures.architecture import Architecture
from experiments.architectures.decoders import DECODERS
from experiments.architectures.others import OTHERS

ARCHITECTURES: Mapping[str, Architecture] = {**DECODERS, **OTHERS}

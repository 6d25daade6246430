"""Speed of this machine, as it is now, and the time that an operation takes on it.

An operation takes as long as its arithmetic, or as it takes to read and write its tensors, whichever is longer (the
roofline model: Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785), and a constant for being called.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_PRODUCT = (512, 1024, 1024)  # sizes of the product that shows how fast arithmetic is
_COPIED = 1 << 24  # elements of the copy that shows how fast memory is: more than caches hold
_DIGESTED = 1 << 23  # bytes
_FRESH = 1 << 25  # bytes; the C library keeps what is smaller and was given back
_TIMES, _CALLS = 3, 200


@dataclass(frozen=True)
class Machine:
    """Amounts of work that it does in a second.

    Attributes:
        operations: Floating-point operations of matrix products in float32.
        bytes: Bytes read or written.
        call: Seconds that a module and its one operation take, however small.
        fresh: Bytes of new memory that the system gives, of which it clears every page.
        digested: Bytes of files whose digest is computed.
    """

    operations: float
    bytes: float
    call: float
    fresh: float
    digested: float

    @classmethod
    def measured(cls) -> Machine:
        """Measures this machine, once in a process: in less than half a second."""
        return _measured()

    def seconds(self, operations: float, moved: float) -> float:
        """Seconds of one operation.

        Args:
            operations: Its floating-point operations.
            moved: Bytes of the tensors that it reads and writes.
        """
        return self.call + max(operations / self.operations, moved / self.bytes)

    def new_memory(self, size: int) -> float:
        """Seconds until new memory can be used; what is small was given back before and is there."""
        return size / self.fresh if size >= _FRESH else 0.0

    def writing(self, size: int) -> float:
        """Seconds until a file has its digest and is handed to the system; disks may take longer."""
        return size / self.digested + 2 * size / self.bytes


@functools.cache
def _measured() -> Machine:
    rows, inner, columns = _PRODUCT
    first, second = torch.ones(rows, inner), torch.ones(inner, columns)
    product = _fastest(lambda: torch.mm(first, second))
    source, target = torch.ones(_COPIED), torch.ones(_COPIED)
    copy = _fastest(lambda: target.copy_(source))
    tiny, module = torch.ones(1, 8), torch.nn.Linear(8, 8)
    with torch.no_grad():
        calls = _fastest(lambda: [module(tiny) for _ in range(_CALLS)])
    data = bytes(_DIGESTED)
    return Machine(
        operations=2 * rows * inner * columns / product,
        bytes=2 * source.nbytes / copy,
        call=calls / _CALLS,
        fresh=source.nbytes / _fastest(lambda: torch.ones(_COPIED)),
        digested=len(data) / _fastest(lambda: hashlib.sha256(data)),
    )


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of several times, after one that warms up."""
    work()
    found = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)

"""Cache of the weights that merging reads, on the device that it is computed on.

On the CPU they are where they always were: mapped files, read in place. On a GPU as many of them as fit stay in its
memory from candidate to candidate. The others are streamed: a page-locked buffer takes a tensor from the mapped file,
and while one tensor is merged the next one is on its way, on a stream of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.merging.plan.inputs import Input

# Device memory that nobody has planned with: the blocks that methods compute in, fragments, the libraries' own.
_MARGIN = 1 << 30


class WeightCache:
    """Gives the weights that merging reads, on the device that it is computed on.

    Args:
        device: The device.
        reserve: Bytes of a GPU's memory that must stay free for what comes between merges.
        budget: Most bytes of weights that stay on the device; None: on a GPU what is free when the first tensor is
            asked for, without the reserve, and nothing on the CPU, where files are mapped.

    Attributes:
        in_place: Whether tensors are where they always were, so that they stay valid.
    """

    def __init__(self, device: torch.device, *, reserve: int = 0, budget: int | None = None) -> None:
        self.device = device
        self.in_place = device.type == "cpu" and budget is None
        self._reserve = reserve
        self._left = budget
        self._staying: dict[tuple[CheckpointSource, str, torch.dtype | None], torch.Tensor] = {}
        self._idle: list[_Lane] = []

    def each(self, groups: Iterable[Sequence[Input]]) -> Iterator[list[torch.Tensor]]:
        """Gives the tensors of one group after the other; the next group is fetched while one is worked on.

        Args:
            groups: Inputs that are needed together, in the order that they are needed.

        Yields:
            A group's tensors, never to be written to. They are valid until the next group is asked for.
        """
        if self.in_place:
            for group in groups:
                yield [wanted.read() for wanted in group]
            return
        lane = self._idle.pop() if self._idle else _Lane(self.device)
        try:
            coming: deque[list[torch.Tensor]] = deque()
            for group in groups:
                coming.append([self._fetch(wanted, lane) for wanted in group])
                lane.sent()
                if len(coming) > 1:
                    yield lane.arrived(coming.popleft())
            while coming:
                yield lane.arrived(coming.popleft())
        finally:
            lane.finish()
            self._idle.append(lane)

    def _fetch(self, wanted: Input, lane: _Lane) -> torch.Tensor:
        key = (wanted.source, wanted.name, wanted.dtype)
        if key in self._staying:
            return self._staying[key]
        tensor = lane.send(wanted.read())
        # Every candidate goes through all tensors in the same order: whichever stay, as many are streamed.
        if wanted.stored and tensor.nbytes <= self._room():
            self._staying[key] = tensor
            self._left = self._room() - tensor.nbytes
        return tensor

    def _room(self) -> int:
        if self._left is None:
            free, _ = torch.cuda.mem_get_info(self.device)
            self._left = max(0, free - self._reserve - _MARGIN)
        return self._left


class _Lane:
    """A way to the device: page-locked buffers, two for each tensor of a group, and a stream where there are streams.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._streams = device.type == "cuda"
        self._stream: Any = torch.cuda.Stream(device) if self._streams else None
        self._buffers: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        self._events: deque[Any] = deque()  # of the groups on their way, first come first
        self._turn = 0
        self._filled = 0

    def send(self, tensor: torch.Tensor) -> torch.Tensor:
        """Starts to copy a tensor of the group that is being sent."""
        place = self._buffer(tensor.nbytes).view(tensor.dtype).view(tensor.shape)
        place.copy_(tensor)
        with torch.cuda.stream(self._stream) if self._streams else nullcontext():
            return place.to(self.device, non_blocking=True, copy=True)

    def sent(self) -> None:
        """Ends a group."""
        self._events.append(self._stream.record_event() if self._streams else None)
        self._turn, self._filled = 1 - self._turn, 0

    def arrived(self, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        """Lets the device's own stream wait for the group that was sent first; gives its tensors."""
        event = self._events.popleft()
        if event is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(event)
            for tensor in tensors:
                tensor.record_stream(current)  # its memory is not given away before the merge is done with it
            # The buffers of this group are filled again for the group after the next.
            event.synchronize()
        return tensors

    def finish(self) -> None:
        """Waits for what is still on its way, which nobody wants any more."""
        if self._streams:
            self._stream.synchronize()
        self._events.clear()
        self._filled = 0

    def _buffer(self, nbytes: int) -> torch.Tensor:
        buffers = self._buffers[self._turn]
        if self._filled == len(buffers):
            buffers.append(torch.empty(0, dtype=torch.uint8))
        if buffers[self._filled].numel() < nbytes:
            buffers[self._filled] = torch.empty(nbytes, dtype=torch.uint8, pin_memory=self._streams)
        self._filled += 1
        return buffers[self._filled - 1][:nbytes]

"""Cache of the weights that merging reads, on the device that it is computed on.

On the CPU they are where they always were: mapped files, read in place. On a GPU as many of them as fit stay in its
memory from candidate to candidate. The others are streamed: a page-locked buffer takes a tensor from the mapped file,
and while one tensor is merged the next one is on its way, on a stream of its own. Prepared arrays that kernels read
beside the tensors share the room; those that do not fit are copied whenever they are read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from evomerge.merging.plan.inputs import Input

# Device memory that nobody has planned with: the blocks that methods compute in, fragments, the libraries' own.
_MARGIN = 1 << 30


class WeightCache:
    """Gives the weights that merging reads, on the device that it is computed on.

    Args:
        device: The device.
        reserve: Bytes of a GPU's memory that must stay free for what comes between merges.
        budget: Most bytes of weights and arrays that stay on the device; None: on a GPU what is free when the first
            tensor is asked for, without the reserve, and nothing on the CPU, where files are mapped.

    Attributes:
        in_place: Whether tensors are where they always were, so that they stay valid.
    """

    def __init__(self, device: torch.device, *, reserve: int = 0, budget: int | None = None) -> None:
        self.device = device
        self.in_place = device.type == "cpu" and budget is None
        self._reserve = reserve
        self._left = budget
        self._staying: dict[Hashable, torch.Tensor] = {}
        self._arrays: dict[Hashable, torch.Tensor] = {}
        self._idle: list[_Lane] = []

    def on(self, device: torch.device) -> WeightCache:
        """A cache of the same kind on another device, with room of its own."""
        return WeightCache(device, reserve=self._reserve)

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
        coming: deque[_Group] = deque()
        try:
            for group in groups:
                coming.append(self._fetch(group, lane))
                if len(coming) > 1:
                    yield self._arrive(coming.popleft(), lane)
            while coming:
                yield self._arrive(coming.popleft(), lane)
        finally:
            lane.finish()
            self._idle.append(lane)
            for left in coming:
                self._keep(left)

    def stays(self, group: Iterable[Input]) -> bool:
        """Whether tensors that were given stay valid from now on, and need not be asked for again."""
        if self.in_place:
            return all(wanted.in_place for wanted in group)
        return all(wanted.key in self._staying for wanted in group)

    def array(self, key: Hashable, array: torch.Tensor) -> torch.Tensor:
        """A prepared array on the device; it stays there if there is room, else it is copied each time.

        Args:
            key: Its key; until arrays are forgotten, the array of a key must be the same.
            array: The array in host memory.
        """
        if self.in_place:
            return array
        if key not in self._arrays:
            there = array.to(self.device, copy=True)
            if not self._take_room(there.nbytes):
                return there
            self._arrays[key] = there
        return self._arrays[key]

    def placed(self, key: Hashable, arrays: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        """One of the prepared arrays of a key on the device, see :meth:`array`."""
        return self.array((key, name), arrays[name])

    def forget_arrays(self) -> None:
        """Gives up the room that prepared arrays take."""
        if self._left is not None:
            self._left += sum(array.nbytes for array in self._arrays.values())
        self._arrays.clear()

    def _fetch(self, group: Sequence[Input], lane: _Lane) -> _Group:
        tensors: list[torch.Tensor] = []
        fresh: dict[Hashable, torch.Tensor] = {}
        for wanted in group:
            key = wanted.key
            if key in self._staying or key in fresh:
                tensors.append(self._staying[key] if key in self._staying else fresh[key])
                continue
            tensors.append(lane.send(wanted.read()))
            # Every candidate goes through all tensors in the same order: whichever stay, as many are streamed.
            if wanted.stored and self._take_room(tensors[-1].nbytes):
                fresh[key] = tensors[-1]
        lane.sent()
        return _Group(tensors, fresh)

    def _arrive(self, group: _Group, lane: _Lane) -> list[torch.Tensor]:
        lane.arrived(group.tensors)
        self._keep(group)
        return group.tensors

    def _keep(self, group: _Group) -> None:
        """Lets tensors stay. Not before they are there: another pass, on a way of its own, would not wait for them."""
        for key, tensor in group.fresh.items():
            if self._staying.setdefault(key, tensor) is not tensor:
                self._left = self._room() + tensor.nbytes

    def _take_room(self, nbytes: int) -> bool:
        if nbytes > self._room():
            return False
        self._left = self._room() - nbytes
        return True

    def _room(self) -> int:
        if self._left is None:
            free, _ = torch.cuda.mem_get_info(self.device) if self.device.type == "cuda" else (0, 0)
            self._left = max(0, free - self._reserve - _MARGIN)
        return self._left


@dataclass(frozen=True)
class _Group:
    """Tensors that are needed together, and those of them that are on their way and will stay."""

    tensors: list[torch.Tensor]
    fresh: dict[Hashable, torch.Tensor]


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
        """Ends a group, of which there may be nothing to send."""
        self._events.append(self._stream.record_event() if self._streams and self._filled else None)
        self._turn, self._filled = 1 - self._turn, 0

    def arrived(self, tensors: Iterable[torch.Tensor]) -> None:
        """Lets the device's own stream wait for the group that was sent first, of these tensors."""
        event = self._events.popleft()
        if event is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(event)
            for tensor in tensors:
                tensor.record_stream(current)  # its memory is not given away before the merge is done with it
            # The buffers of this group are filled again for the group after the next.
            event.synchronize()

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

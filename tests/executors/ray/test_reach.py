"""An actor that is out of reach is asked again after a pause: while Ray connects anew, calls fail at once."""

from __future__ import annotations

import time
from typing import Any, cast

from evomerge.executors.ray.cluster import Cluster, Gone
from evomerge.executors.ray.ray_member import RayMember


class Handle:
    """As Ray's handle of an actor takes calls; each is answered by nothing."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def stay(self) -> Handle:
        """One of its methods."""
        return self

    where = stay

    def remote(self) -> int:
        """The call."""
        self.asked += 1
        return self.asked


class Network:
    """A connection whose only actor has this handle."""

    def __init__(self) -> None:
        self.handle = Handle()

    def actor(self, setup: Any) -> Handle:
        """The handle."""
        return self.handle


def test_the_second_question_waits() -> None:
    network = Network()
    member = RayMember(cast(Cluster, network), cast(Any, None), "ray 1")
    began = network.handle.asked
    away = Gone("was out of reach", "reach")
    member.ask_actor(away)
    assert network.handle.asked == began + 1, "Ray may know already that it has died"
    before = time.monotonic()
    member.ask_actor(away)
    looks = 0
    while network.handle.asked == began + 1:
        member.look_again()
        looks += 1
        time.sleep(0.01)
    assert network.handle.asked == began + 2
    assert looks > 1
    assert time.monotonic() - before >= 1.0
    member.look_again()
    assert network.handle.asked == began + 2

"""From tensor names and settings to the groups that share coefficients, and the profiles over depth they lie on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from evomerge.genome.settings import GenomeSettings
from evomerge.recipe import MODULE_KINDS, Group, ParameterGroups, Place

_APART = ("router", "tower")

__all__ = ["DepthProfile", "grouped", "matching", "own_kinds"]


@dataclass(frozen=True)
class DepthProfile:
    """Groups whose coefficients follow one another over depth.

    Attributes:
        label: The groups' common part, for gene labels; empty when that is the whole model.
        groups: Indices of the groups, by depth.
        curve: Whether their coefficients lie on a curve (``linear`` and ``smooth``) rather than each on its own.
    """

    label: str
    groups: tuple[int, ...]
    curve: bool


def matching(pattern: str, labels: Sequence[str]) -> list[int]:
    """Indices of the labels that a shell-style pattern (``layer *``, ``* attention``) matches."""
    return [index for index, label in enumerate(labels) if fnmatchcase(label, pattern)]


def own_kinds(settings: GenomeSettings) -> list[str]:
    """The module kinds that are one group of their own, whatever the depth: routers and towers always."""
    return [kind for kind in MODULE_KINDS if kind in (*settings.own_groups, *settings.frozen, *_APART)]


def grouped(
    settings: GenomeSettings, template: ParameterGroups, names: Sequence[str]
) -> tuple[ParameterGroups, list[DepthProfile]]:
    """Groups that hold at least one tensor each, and the profiles they form over depth.

    Args:
        settings: Valid settings.
        template: Its patterns say what a tensor name means; its groups are not looked at.
        names: The model's tensors.

    Returns:
        Groups, some of them frozen, and profiles that together hold every group once.

    Raises:
        UnknownTensorName: if no pattern knows a name.
    """
    places = sorted({template.place(name) for name in names}, key=lambda place: (place.layer is None, place.layer or 0))
    own = own_kinds(settings)
    candidates = [Group(kind, kinds=(kind,)) for kind in own]
    kinds = [kind for kind in MODULE_KINDS if kind not in own]
    splits: list[tuple[str, ...]] = [(kind,) for kind in kinds] if settings.split_kinds else [()]
    candidates += [group for ends in _ranges(settings, places) for group in _range_groups(ends, splits)]
    whole = "model" if settings.depth == "model" else "rest"
    candidates += [_group("" if split else whole, split) for split in splits]
    used: list[Group] = []
    rest = list(places)
    for group in candidates:
        taken = [place for place in rest if group.takes(place)]
        if taken:
            used.append(group)
            rest = [place for place in rest if place not in taken]
    groups = ParameterGroups(_with_frozen(settings, used), template.patterns, template.layer_pattern)
    return groups, _profiles(settings, groups.groups)


def _ranges(settings: GenomeSettings, places: Sequence[Place]) -> list[tuple[int, int]]:
    """Half-open ranges of layers that get groups of their own."""
    layers = 1 + max((place.layer for place in places if place.layer is not None), default=-1)
    if settings.depth == "model":
        return []
    size = settings.block_size if settings.depth == "blocks" else 1
    return [(start, min(start + size, layers)) for start in range(0, layers, size)]


def _range_groups(ends: tuple[int, int], splits: Sequence[tuple[str, ...]]) -> list[Group]:
    start, stop = ends
    label = f"layer {start}" if stop - start == 1 else f"layers {start}-{stop - 1}"
    return [_group(label, split, ends) for split in splits]


def _group(label: str, kinds: tuple[str, ...], layers: tuple[int, int] | None = None) -> Group:
    return Group(" ".join((label, *kinds)).strip(), kinds=kinds, layers=layers)


def _with_frozen(settings: GenomeSettings, groups: Sequence[Group]) -> tuple[Group, ...]:
    labels = [group.label for group in groups]
    patterns = [*settings.frozen, *([] if "tower" in settings.own_groups else ["tower"])]
    frozen = {index for pattern in patterns for index in matching(pattern, labels)}
    return tuple(replace(group, frozen=index in frozen) for index, group in enumerate(groups))


def _profiles(settings: GenomeSettings, groups: Sequence[Group]) -> list[DepthProfile]:
    curved = settings.depth in ("linear", "smooth")
    by_kind: dict[tuple[str, ...], list[int]] = {}
    profiles: list[DepthProfile] = []
    for index, group in enumerate(groups):
        if curved and group.layers is not None:
            by_kind.setdefault(group.kinds, []).append(index)
        else:
            profiles.append(DepthProfile(group.label, (index,), curve=False))
    profiles += [DepthProfile(" ".join(kinds), tuple(members), curve=True) for kinds, members in by_kind.items()]
    return sorted(profiles, key=lambda profile: profile.groups)

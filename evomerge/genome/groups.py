"""From tensor names and settings to the groups that share coefficients, and the profiles over depth they lie on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from evomerge.genome.settings import SEARCHED, GenomeSettings
from evomerge.recipe import MODULE_KINDS, Group, ParameterGroups, Place

_APART = ("router", "tower")
# What goes with the first and with the last layers, where what is in no layer goes with the nearest.
BEFORE, AFTER = "before the layers", "after the layers"

__all__ = ["DepthProfile", "grouped", "matching", "own_kinds"]


@dataclass(frozen=True)
class DepthProfile:
    """Groups whose coefficients follow one another over depth.

    Attributes:
        label: The groups' common part, for gene labels; empty when that is the whole model.
        groups: Indices of the groups, by depth.
        curve: Whether their coefficients lie on a curve (``linear`` and ``smooth``) rather than being one value.
        places: Place of each group on the curve, for profiles with groups outside the layers, which have the place of
            the first or the last layer; empty where the places are 0, 1, 2 ...
    """

    label: str
    groups: tuple[int, ...]
    curve: bool
    places: tuple[int, ...] = ()

    @property
    def place(self) -> tuple[int, ...]:
        """Place of each group on the curve."""
        return self.places or tuple(range(len(self.groups)))

    @property
    def layers(self) -> int:
        """Number of places on the curve."""
        return 1 + max(self.place)


@dataclass(frozen=True)
class _Split:
    """A part of the tensors of a layer, block or curve, which has coefficients of its own.

    Attributes:
        kinds: Module kinds; empty takes all.
        filters: Parts of names; empty takes all.
    """

    kinds: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """For people."""
        return " ".join((*self.kinds, *self.filters))

    def group(self, label: str, layers: tuple[int, int] | None = None, kinds: tuple[str, ...] = ()) -> Group:
        """The group of this part in some layers, or everywhere."""
        return Group(" ".join((label, self.label)).strip(), self.kinds or kinds, layers, filters=self.filters)


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
    by_name = bool(settings.filters)  # else names of one place go together
    members = {(template.place(name), name if by_name else "") for name in names}
    rest = sorted(members, key=lambda member: (member[0].layer is None, member[0].layer or 0, member[1]))
    own = own_kinds(settings)
    splits = _splits(settings, own)
    candidates: list[tuple[Group, _Split | None]] = [(Group(kind, kinds=(kind,)), None) for kind in own]
    for ends in _ranges(settings, [place for place, _ in rest]):
        candidates += [(split.group(_range_label(ends), ends), split) for split in splits]
    candidates += [(group, split) for split in splits for group in _outside(settings, split)]
    used: list[tuple[Group, _Split | None]] = []
    for group, split in candidates:
        taken = {member for member in rest if group.takes(*member)}
        if taken:
            used.append((group, split))
            rest = [member for member in rest if member not in taken]
    found = _with_frozen(settings, [group for group, _ in used])
    groups = ParameterGroups(found, template.patterns, template.layer_pattern)
    return groups, _profiles(settings, found, [split for _, split in used])


def _splits(settings: GenomeSettings, own: Sequence[str]) -> list[_Split]:
    if settings.split_kinds or (settings.modules == SEARCHED and not settings.filters):
        return [_Split(kinds=(kind,)) for kind in MODULE_KINDS if kind not in own]
    return [*(_Split(filters=(part,)) for part in settings.filters), _Split()]


def _outside(settings: GenomeSettings, split: _Split) -> list[Group]:
    """Groups of what is in no layer; where it goes with the nearest layers, embeddings come before them."""
    if settings.depth == "model" or settings.ends == "own":
        return [split.group("" if split.label and settings.depth != "model" else _whole(settings, split))]
    before = [split.group(BEFORE, kinds=("embedding",))] if split.kinds in ((), ("embedding",)) else []
    return [*before, split.group(AFTER)]


def _whole(settings: GenomeSettings, split: _Split) -> str:
    if settings.depth != "model":
        return "rest"
    return "" if split.label else "model"


def _ranges(settings: GenomeSettings, places: Sequence[Place]) -> list[tuple[int, int]]:
    """Half-open ranges of layers that get groups of their own; those alone that hold one, whatever names say."""
    layers = {place.layer for place in places if place.layer is not None}
    if settings.depth == "model" or not layers:
        return []
    size, end = settings.block_size if settings.depth == "blocks" else 1, 1 + max(layers)
    return [(start, min(start + size, end)) for start in sorted({layer // size * size for layer in layers})]


def _range_label(ends: tuple[int, int]) -> str:
    start, stop = ends
    return f"layer {start}" if stop - start == 1 else f"layers {start}-{stop - 1}"


def _with_frozen(settings: GenomeSettings, groups: Sequence[Group]) -> tuple[Group, ...]:
    labels = [group.label for group in groups]
    patterns = [*settings.frozen, *([] if "tower" in settings.own_groups else ["tower"])]
    frozen = {index for pattern in patterns for index in matching(pattern, labels)}
    return tuple(replace(group, frozen=index in frozen) for index, group in enumerate(groups))


def _profiles(settings: GenomeSettings, groups: Sequence[Group], splits: Sequence[_Split | None]) -> list[DepthProfile]:
    curved = settings.depth in ("linear", "smooth")
    nearest = settings.ends == "nearest" and settings.depth != "model"
    inside: dict[_Split, list[int]] = {}
    for index, (group, split) in enumerate(zip(groups, splits, strict=True)):
        if group.layers is not None and split is not None:
            inside.setdefault(split, []).append(index)
    # By the layers that they go with: a group of layers by itself, or all of one curve.
    together = {members[place]: [members[place]] for members in inside.values() for place in range(len(members))}
    if curved:
        together = {index: members for members in inside.values() for index in members}
    profiles: list[DepthProfile] = []
    ends: dict[int, list[tuple[int, int]]] = {}  # group of layers to groups outside, with their places
    for index, (group, split) in enumerate(zip(groups, splits, strict=True)):
        members = inside.get(split) if split is not None else None
        if group.layers is not None:
            continue
        if nearest and members and split is not None:
            layer = members[0] if group.label.startswith(BEFORE) else members[-1]
            ends.setdefault(together[layer][0], []).append((index, together[layer].index(layer)))
        else:
            profiles.append(DepthProfile(group.label, (index,), curve=False))
    for members in {id(found): found for found in together.values()}.values():
        more = ends.get(members[0], [])
        places = (*range(len(members)), *(place for _, place in more)) if more else ()
        split = splits[members[0]]
        label = (split.label if split else "") if curved else groups[members[0]].label
        profiles.append(DepthProfile(label, (*members, *(index for index, _ in more)), curved, places))
    return sorted(profiles, key=lambda profile: profile.groups)

"""The models of a search: which of them are adapters, and all of them opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evomerge.checkpoints import CheckpointSource, folder_of, is_adapter, locate, open_all, same_weights
from evomerge.errors import InputError
from evomerge.merging import Checkpoints
from evomerge.methods import MergeMethod
from evomerge.recipe import AdapterRef, CheckpointRef, ModelRef, short_name
from evomerge.run import paths
from evomerge.run.recipes.searched import SearchedRecipe
from evomerge.run.run_config import RunConfig


class Folders:
    """Folders of models, each looked for once: a hub is asked once, and says once what is wrong.

    Args:
        offline: Never ask the hub.
    """

    def __init__(self, offline: bool | None) -> None:
        self._offline = bool(offline)
        self._found: dict[tuple[str, str | None], Path | InputError] = {}

    def __call__(self, ref: ModelRef) -> Path:
        """The folder of a model, or of an adapter.

        Raises:
            InputError: If it cannot be found.
        """
        place = ref.source, ref.revision
        if place not in self._found:
            try:
                self._found[place] = locate(paths.resolve(ref.source), ref.revision, offline=self._offline)
            except InputError as error:
                self._found[place] = error
        found = self._found[place]
        if isinstance(found, InputError):
            raise found
        return found


def with_adapters(config: RunConfig, find: Folders) -> RunConfig:
    """The configuration with those models named as adapters that are, on the base or on what they say themselves.

    Args:
        config: The configuration.
        find: Gives the folders.

    Raises:
        InputError: If an adapter has nothing that it is on.
    """
    if config.recipe is not None:
        return config
    problems: list[str] = []
    models: list[ModelRef] = []
    for ref in config.models:
        try:
            models.append(as_adapter(ref, config.base, find) or ref)
        except InputError as error:
            problems += [f"models: {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    return replace(config, models=tuple(models))


def merges_base(config: RunConfig, method: MergeMethod) -> bool:
    """Whether the recipes of a search have the base: where the method takes one, or steps take it off the merge."""
    return method.base != "none" or bool(config.post)


def open_models(
    config: RunConfig, find: Folders, method: MergeMethod | None, searched: SearchedRecipe | None = None
) -> Checkpoints:
    """Opens all models, the reference first: the base, but the first model where the method takes no base.

    That of a recipe is the recipe's own.

    Args:
        config: The configuration, of which adapters are known as such.
        find: Gives the folders.
        method: The merge method.
        searched: The recipe that is searched, if there is one.

    Raises:
        InputError: If some cannot be found or read, or one is named twice; all problems.
    """
    base = [config.base] if config.base else []
    models = list(config.models)
    ordered = [*models, *base] if method is not None and not merges_base(config, method) else [*base, *models]
    if searched is not None:
        ordered = searched.references(config.base)
    problems: list[str] = []
    opened: dict[ModelRef, CheckpointSource] = {}
    try:
        opened = open_all(ordered, find)
    except InputError as error:
        problems += error.problems
    if config.base in config.models:
        problems.append(f"models: {config.base.source} is the base; name the experts alone")  # type: ignore[union-attr]
    first: dict[tuple[Path, ...], str] = {}
    for ref, source in opened.items():
        on = (opened[ref.on].path,) if isinstance(ref, AdapterRef) else ()
        same = first.setdefault(tuple(path.resolve() for path in (folder_of(source), *on)), ref.source)
        if same != ref.source:
            problems.append(f"models: {ref.source} and {same} are the same folder; name each model once")
    if problems:
        raise InputError(problems)
    return Checkpoints(opened)


def equal_weights(config: RunConfig, checkpoints: Checkpoints, method: MergeMethod | None) -> Iterator[str]:
    """Warns of models that would have one fingerprint: as baselines they share one record."""
    kept: list[ModelRef] = []
    for ref in (*([config.base] if config.base else ()), *config.models):
        twin = next((k for k in kept if same_weights(checkpoints[k], checkpoints[ref])), None)
        if twin is None:
            kept.append(ref)
            continue
        names = " and ".join(f"{r.source}@{r.revision}" if r.revision else r.source for r in (twin, ref))
        lost = "nothing can be gained from the second"
        if twin == config.base and method is not None and not merges_base(config, method):
            lost = f"{method.name} merges no base, so nothing is gained from naming it"
        yield f"{names} have equal weights: {lost}; name each model once"


def other_bases(checkpoints: Checkpoints) -> Iterator[str]:
    """Warns of adapters that say that they were trained on something else than what they are merged into."""
    for ref, source in checkpoints.by_ref.items():
        if not isinstance(ref, AdapterRef):
            continue
        named = paths.named_base(folder_of(source))
        if named is not None and not _means(named[0], ref.on, checkpoints[ref.on]):
            yield (
                f"adapter {ref.source} says that it was trained on {named[0]!r} (base_model_name_or_path), and is "
                f"merged into {ref.on.source!r}; its deltas mean nothing in another model, so make sure that these "
                "are the same weights"
            )


def as_adapter(ref: ModelRef, base: ModelRef | None, find: Folders) -> AdapterRef | None:
    """A model of the user's as an adapter; None for a whole model, one that is not there, and one that is named so.

    Args:
        ref: The model.
        base: The base that is named beside it; without one, what the adapter says itself.
        find: Gives the folders.

    Raises:
        InputError: If it is an adapter on nothing.
    """
    if isinstance(ref, AdapterRef):
        return None
    try:
        folder = find(ref)
    except InputError:
        return None  # whoever opens it says so
    if not is_adapter(folder):
        return None
    if isinstance(base, AdapterRef):
        raise InputError(
            f"{ref.source} is a LoRA adapter, and so is the base; write BASE+{ref.source} with the model that it was "
            "trained on"
        )
    on = base or _named(folder)
    if on is None:
        raise InputError(
            f"{ref.source} is a LoRA adapter, and its adapter_config.json does not say what it was trained on; write "
            f"BASE+{ref.source}"
        )
    return AdapterRef(ref.source, on, ref.revision, hub_id=ref.hub_id)


def _named(folder: Path) -> CheckpointRef | None:
    found = paths.named_base(folder)
    return None if found is None else CheckpointRef(*found)


def _means(named: str, on: CheckpointRef, source: CheckpointSource) -> bool:
    """Whether the base that an adapter names is, by its name, the one that it is merged into."""
    if named in (on.source, on.hub_id):
        return True
    if paths.is_folder(Path(named)):
        return Path(named).resolve() == source.path.resolve()
    cached = "--".join(["models", *named.split("/")])  # as the hub's cache calls it
    return short_name(named) in (on.label, source.path.name) or cached in source.path.parts

"""The Python interface: the same searches, runs and merges without a command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evomerge import report
from evomerge.config import compose
from evomerge.evaluation import Evaluation, Response
from evomerge.recipe import Recipe
from evomerge.report import Member
from evomerge.run import environment, paths
from evomerge.run.recipe_files import RecipeFile
from evomerge.store import RunStore, candidates

if TYPE_CHECKING:
    from evomerge.report.audit.judgement import Audit
    from evomerge.run.export import Exported
    from evomerge.run.structure.layers import LayerSimilarity

T = TypeVar("T")

# Modules that compute are imported inside the functions: the Hugging Face libraries behind them read once, on import,
# whether they may use the network, so that has to be settled first.


class Run:
    """A run's folder, to look at and to export from.

    Args:
        folder: The run's folder.

    Attributes:
        folder: The run's folder.

    Raises:
        InputError: If the folder holds no run.
    """

    def __init__(self, folder: str | Path) -> None:
        self._store = RunStore.read(paths.expanded(str(folder)))
        self.folder = self._store.folder

    def __repr__(self) -> str:
        """The folder, and how much is in it."""
        searched = len(candidates(self._store))
        return f"evomerge.Run({str(self.folder)!r}, {searched} candidates)"

    @property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest: models, method, genome, objectives, items, seeds, versions."""
        return self._store.manifest

    @property
    def front(self) -> list[Member]:
        """The members of the Pareto front, with search and held-out scores and comparisons to the best expert.

        They hold their recipes: a list of them outlives the folder.
        """
        return report.front_members(self._store)

    def evaluations(self, split: str | None = None) -> list[Evaluation]:
        """All records, or those of one split, sorted by (split, batch, index).

        Recipes are read from the folder when they are looked into, as a run holds thousands: a copy that outlives the
        folder is ``dict(evaluation.recipe)``.
        """
        return self._store.evaluations(split)

    def responses(self, evaluation: Evaluation) -> list[Response]:
        """A candidate's responses, item by item."""
        return self._store.responses(evaluation)

    def report(self, prefer: str | Mapping[str, Any] | None = None) -> tuple[Path, ...]:
        """Writes the report again and returns its files; ``prefer`` as in :func:`evomerge.report.write`."""
        return report.write(self.folder, prefer)

    def export(
        self, member: str | Mapping[str, Any], out: str | Path, *, offline: bool | None = None, **options: Any
    ) -> Exported:
        """Exports a member and checks the export.

        Args:
            member: An id or digest prefix, ``knee``, ``best:TASK``, ``weights:0.7,0.3``, ``{"t1.acc": 0.7,
                "t2.acc": 0.3}``, ``reference:0.6,0.5``, or ``cell:3-7``, the elite of a cell.
            out: The folder to make.
            offline: Never ask the hub; None: unless the run names a model by its hub id.
            **options: See :func:`evomerge.run.export.export_member`.

        Raises:
            InputError: If the member, its checkpoints or the tasks are not what they were.
            ExportMismatch: If the folder answers otherwise; nothing is left behind.
        """
        offline = environment.offline_for_run(self.manifest) if offline is None else offline
        environment.prepare(offline=offline)
        from evomerge.run import export

        return export.export_member(self.folder, member, out, offline=offline, **options)


def search(**values: Any) -> Run:
    """Runs a search, or goes on with one, and writes its report.

    Args:
        **values: The keys of the command line: ``models=["A", "B"]``, ``base="C"``, ``method="ties"``,
            ``genome="blocks"`` or ``genome={"depth": "blocks", "block_size": 2}``, ...; paths may be ``Path`` objects.
            Nothing is printed, whatever ``progress`` says; warnings are in the run's manifest.

    Returns:
        The finished run.

    Raises:
        InputError: With everything that is wrong.
    """
    config = compose.from_values(values)
    environment.prepare(offline=bool(config.offline))
    from evomerge.run import search

    prepared = search.prepare(config)
    search.search(prepared)
    return Run(prepared.folder)


def merge(
    recipe: Recipe | Mapping[str, Any] | str | Path, out: str | Path, *, offline: bool | None = None, **options: Any
) -> Path:
    """Builds one recipe's model folder.

    Args:
        recipe: A recipe, its JSON, or the file that holds it, ours or a mergekit configuration.
        out: The folder to make.
        offline: Never ask the hub; None: unless the recipe names a model by its hub id.
        **options: See :func:`evomerge.run.export.build`.

    Returns:
        The folder.

    Raises:
        InputError: With everything that is wrong with the recipe or its checkpoints.
    """
    recipe, offline = _read(recipe, offline)
    from evomerge.run import export

    return export.build(recipe, out, offline=offline, **options)


def audit(a: str | Path, b: str | Path, **values: Any) -> Audit:
    """Judges the claim that one model scores higher than another, from their answers item by item.

    Args:
        a: The answers of the model that is claimed to be better: a file or folder, a run's with
            ``:`` and a model's name.
        b: Those of the model that it is compared with.
        **values: The other keys of the command line: ``c``, ``metric``, ``cluster``, ``tried``, ``split``.

    Returns:
        The judgement; ``to_json()`` is what ``json=FILE`` writes.

    Raises:
        InputError: With everything that is wrong with the files, or keeps them from being compared.
    """
    config = _configured(compose.audit, a=a, b=b, **values)
    from evomerge.run.audit.audit import audit

    return audit(config)


def collect(**values: Any) -> dict[str, str]:
    """Collects the statistics that the candidates of a search read, or those that are named, and searches nothing.

    Args:
        **values: Those of :func:`search`; or ``model``, ``statistic`` and the other keys of the command line.

    Returns:
        Key to what it is of. ``evomerge.statistics.StatisticsFolder`` reads and removes statistics.

    Raises:
        InputError: With everything that is wrong, or where nothing is read.
    """
    named = "statistic" in values
    config = compose.collect(compose.words_of(values)) if named else compose.from_values(values)
    environment.prepare(offline=bool(config.offline))
    from evomerge.run.statistics.named import described

    return described(config)


def transform(kind: str, models: Sequence[str | Path], out: str | Path, **values: Any) -> list[Path]:
    """Makes further experts of experts.

    Args:
        kind: The transformation, such as ``regmean_plusplus``.
        models: The experts.
        out: The folder to make.
        **values: The other keys of the command line: ``base``, ``tasks``, ``calibration``, ``options``, ...

    Returns:
        The folders of the new models; none where nothing is gained.

    Raises:
        InputError: With everything that is wrong.
    """
    config = _configured(compose.transform, kind=kind, models=models, out=out, **values)
    from evomerge.run.transforming.transform import transform

    return [one.folder for one in transform(config)]


def build(experts: Sequence[str | Path], out: str | Path, **values: Any) -> Path:
    """Builds a mixture of experts of dense models, and returns its folder.

    Args:
        experts: The models whose feed-forward blocks become the experts.
        out: The folder to make.
        **values: The other keys of the command line: ``base`` or ``recipe``, ``gate``, ``prompts``, ``per_token``, ...

    Raises:
        InputError: With everything that is wrong.
    """
    config = _configured(compose.build, experts=experts, out=out, **values)
    from evomerge.run.structure.build import build_mixture

    return build_mixture(config)


def condense(model: str | Path, experts: int, out: str | Path, **values: Any) -> Path:
    """Merges the experts of a mixture until fewer are left, and returns the new folder.

    Args:
        model: The mixture.
        experts: Number of experts that are left in each layer.
        out: The folder to make.
        **values: The other keys of the command line: ``calibration``, ``power``, ...

    Raises:
        InputError: With everything that is wrong.
    """
    config = _configured(compose.condense, model=model, experts=experts, out=out, **values)
    from evomerge.run.structure.condense import condense

    return condense(config)


def layers(model: str | Path, **values: Any) -> LayerSimilarity:
    """Compares the layers of a model on texts.

    Args:
        model: The model.
        **values: The other keys of the command line: ``calibration``, ``out``, ...

    Raises:
        InputError: With everything that is wrong.
    """
    config = _configured(compose.layers, model=model, **values)
    from evomerge.run.structure.layers import compare_layers

    return compare_layers(config)


def as_mergekit(recipe: Recipe | Mapping[str, Any] | str | Path, *, offline: bool | None = None) -> str:
    """Writes a recipe as mergekit's YAML, without merging anything; the headers of its models are read.

    Args:
        recipe: A recipe, its JSON, or the file that holds it.
        offline: Never ask the hub; None: unless the recipe names a model by its hub id.

    Returns:
        The text of the configuration: a document for each recipe inside, and the recipe's own.

    Raises:
        InputError: With every field that mergekit has no words for, or what is wrong with recipe or checkpoints.
    """
    recipe, offline = _read(recipe, offline)
    from evomerge.run import export
    from evomerge.run.recipe_files.writing import as_mergekit

    return as_mergekit(recipe, export.open_sources(recipe, offline=offline, verify=False))


def _read(recipe: Recipe | Mapping[str, Any] | str | Path, offline: bool | None) -> tuple[Recipe, bool]:
    """A recipe in whatever form, and whether the hub is out of bounds, which is settled before anything is opened."""
    if isinstance(recipe, str | Path):
        file = RecipeFile.read(recipe)
        offline = file.offline if offline is None else offline
        environment.prepare(offline=offline)
        return file.recipe(offline=offline), offline
    found = Recipe.from_json(recipe) if isinstance(recipe, Mapping) else recipe
    offline = environment.offline_for_recipe(found) if offline is None else offline
    environment.prepare(offline=offline)
    return found, offline


def _configured(read: Callable[[Sequence[str]], T], **values: Any) -> T:
    """The configuration of a verb from the values of its keys; the network is settled before anything is imported."""
    config = read(compose.words_of(values))
    environment.prepare(offline=bool(getattr(config, "offline", True)))
    return config

"""From a file to a recipe: our own JSON, or mergekit's YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evomerge.dialects.mergekit.config import Configuration
from evomerge.dialects.mergekit.documents import references
from evomerge.dialects.mergekit.reading import configurations
from evomerge.dialects.mergekit.translation import Translation, translated
from evomerge.errors import InputError
from evomerge.recipe import CheckpointRef, Recipe, numbers_of
from evomerge.run import environment, paths
from evomerge.texts import read_text

# Modules that open models are imported inside the functions: whether the hub is out of bounds has to be settled before.

_YAML = (".yml", ".yaml")


@dataclass(frozen=True)
class RecipeFile:
    """A recipe's file, read as far as it can be without a look at models.

    Attributes:
        path: The file.
        content: The recipe, or the documents of a mergekit configuration.
    """

    path: Path
    content: Recipe | tuple[Configuration, ...]

    @classmethod
    def read(cls, path: str | Path) -> RecipeFile:
        """Reads a file, by its name as JSON or YAML, or else by how it begins.

        Raises:
            InputError: If it is missing or is no recipe; everything that is wrong.
        """
        place = paths.expanded(str(path))
        with named(path):
            if not _is_yaml(place):
                return cls(place, Recipe.load(place))
            return cls(place, configurations(_text(place), str(path)))

    @property
    def checkpoints(self) -> tuple[CheckpointRef, ...]:
        """All checkpoints that it names."""
        if isinstance(self.content, Recipe):
            return self.content.checkpoints
        return references(self.content)

    @property
    def offline(self) -> bool:
        """Whether the hub is out of bounds where nobody says so: unless a model is named by its hub id."""
        if isinstance(self.content, Recipe):
            return environment.offline_for_recipe(self.content)
        adapters = [name.adapter[0] for document in self.content for name in document.names() if name.adapter]
        return environment.offline_for([*adapters, *(ref.source for ref in self.checkpoints)])

    def recipe(self, *, offline: bool, say: Callable[[str], object] = lambda note: None) -> Recipe:
        """The recipe. For mergekit's YAML the headers of its models are read.

        Args:
            offline: Never ask the hub.
            say: Told what the file says without effect, one sentence at a time.

        Raises:
            InputError: With everything that is wrong with the file, or does not fit its models.
        """
        found = self.translated(offline=offline)
        for note in found.notes:
            say(note)
        return found.recipe

    def translated(self, *, offline: bool, traced: bool = False) -> Translation:
        """The recipe, with what the file says without effect, and its numbers.

        Args:
            offline: Never ask the hub.
            traced: Whether to give the numbers too, as the file has them.

        Raises:
            InputError: With everything that is wrong with the file, or does not fit its models.
        """
        if isinstance(self.content, Recipe):
            return Translation(self.content, (), tuple(numbers_of(self.content)) if traced else ())
        from evomerge.run.recipe_files.model_facts import facts_of

        with named(self.path):
            return translated(self.content, facts_of(self.checkpoints, offline=offline), traced=traced)


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Puts the name of a recipe's file before problems that come of what it says, and do not name it yet.

    Raises:
        InputError: With these problems.
    """
    try:
        yield
    except InputError as error:
        name = Path(path).name
        raise InputError([text if name in text else f"{name}: {text}" for text in error.problems]) from error


def load(path: str | Path, *, offline: bool = True, say: Callable[[str], object] = lambda note: None) -> Recipe:
    """Reads a recipe's file of either kind.

    Args:
        path: The file.
        offline: Never ask the hub.
        say: Told what the file says without effect, one sentence at a time.

    Raises:
        InputError: With everything that is wrong.
    """
    return RecipeFile.read(path).recipe(offline=offline, say=say)


def _is_yaml(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in (*_YAML, ".json"):
        return suffix in _YAML
    return paths.is_file(path) and not _text(path).lstrip("\ufeff \t\r\n").startswith("{")


def _text(path: Path) -> str:
    try:
        return read_text(path, "utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"there is no recipe file {str(path)!r}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"the recipe file {str(path)!r} cannot be read: {error}") from error

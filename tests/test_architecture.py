"""Rooms import only what lies below them, every big library has one home, and nothing outgrows its floor."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "evomerge"

# Modules beside the rooms that every room may import.
GROUND = {"errors", "imports", "lease", "options", "registry", "settings", "sizes", "texts"}
# What else rooms may import, lowest first. Rooms that share a line in the design never import each other.
ALLOWED: dict[str, set[str]] = {
    "recipe": set(),
    "analysis": set(),
    "kernels": set(),
    "evaluation": {"recipe"},
    "methods": {"recipe", "kernels"},
    "genome": {"recipe"},
    "checkpoints": {"recipe"},
    "store": {"recipe", "evaluation"},
    "executors": {"recipe", "evaluation"},
    "post": {"recipe", "methods", "kernels"},
    "merging": {"recipe", "checkpoints", "methods", "post", "kernels"},
    "fitness": {"evaluation"},
    "dialects": {"recipe", "evaluation", "methods"},
    "search": {"recipe", "evaluation", "analysis", "store", "genome", "executors"},
    "statistics": {"recipe", "checkpoints", "merging", "methods", "fitness", "kernels"},
    "candidate": {"recipe", "evaluation", "merging", "methods", "checkpoints", "fitness", "statistics"},
    "transforms": {"recipe", "merging", "methods", "checkpoints", "statistics"},
    "report": {"recipe", "evaluation", "analysis", "store"},
    "tracking": {"evaluation", "analysis", "search"},
}
# The floors of the design; a room imports from floors below its own alone.
FLOORS = (
    {"recipe", "analysis", "kernels"},
    {"evaluation", "methods", "genome", "checkpoints"},
    {"store", "executors", "fitness", "dialects", "post"},
    {"merging"},
    {"statistics"},
    {"candidate", "search", "report", "transforms"},
    {"tracking"},
    {"run", "contracts"},
    {"config"},
    {"cli"},
)
ALLOWED["contracts"] = set(ALLOWED)
ALLOWED["run"] = set(ALLOWED) - {"contracts"}
ALLOWED["config"] = set(ALLOWED) - {"contracts"}
ALLOWED["cli"] = set(ALLOWED) - {"contracts"}
ROOMS = tuple(ALLOWED)
ALLOWED = {room: below | GROUND for room, below in ALLOWED.items()}
ALLOWED |= {"errors": set()} | {name: {"errors"} for name in GROUND - {"errors"}}
TOP = {"api", "__init__", "__main__"}  # may import everything below

# Rooms (or folders inside a room) that alone may import a library.
TORCH_ROOMS = {
    "kernels",
    "methods",
    "post",
    "checkpoints",
    "merging",
    "fitness",
    "statistics",
    "transforms",
    "candidate",
    "contracts",
    "search/searchers/_shared/surrogates",
}
HOMES: dict[str, set[str]] = {
    "torch": TORCH_ROOMS,
    "transformers": {"checkpoints", "merging", "fitness/inference", "statistics", "candidate"},
    "safetensors": {"checkpoints"},
    "triton": {"kernels/fused/program"},
    "huggingface_hub": {"checkpoints"},
    "lm_eval": {"fitness/tasks"},
    "datasets": {"fitness/tasks"},
    "hydra": {"config"},
    "omegaconf": {"config"},
    "moocore": {"analysis"},
    "scipy": {"transforms/_shared"},
    "matplotlib": {"report"},
    "pyarrow": {"executors/_shared/response_table"},
    "ray": {"executors/ray"},
    "pymoo": {"search/searchers"},
    "cma": {"search/searchers"},
    "ribs": {"search/searchers"},
    "optuna": {"search/searchers/_shared/surrogates"},
    "tensorboardX": {"tracking"},
    "wandb": {"tracking"},
    "mlflow": {"tracking"},
}
ONE_FILE = (
    "pymoo",
    "cma",
    "optuna",
    "ribs",
    "tensorboardX",
    "wandb",
    "mlflow",
)  # libraries whose home is a single file


@functools.cache
def modules() -> tuple[tuple[Path, str, ast.Module], ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative.parts[0] != "example":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found.append((path, relative.parts[0].removesuffix(".py"), tree))
    return tuple(found)


@functools.cache
def imported(tree: ast.Module) -> tuple[str, ...]:
    return tuple(_imported(tree))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room is meant"
            yield node.module or ""
            if node.module == "evomerge":
                yield from (f"evomerge.{alias.name}" for alias in node.names)


def test_every_room_is_known() -> None:
    unknown = {room for _, room, _ in modules()} - set(ALLOWED) - TOP
    assert not unknown, f"rooms without a place in the layers: {sorted(unknown)}"


def test_every_room_has_a_floor_and_looks_down() -> None:
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    assert floor.keys() == set(ROOMS)
    assert not [(room, below) for room in ROOMS for below in ALLOWED[room] - GROUND if floor[below] >= floor[room]]


def test_rooms_import_only_what_lies_below() -> None:
    wrong = []
    for path, room, tree in modules():
        if room in TOP:
            continue
        for name in imported(tree):
            parts = name.split(".")
            if parts[0] == "evomerge" and len(parts) > 1 and parts[1] != room and parts[1] not in ALLOWED[room]:
                if parts[1] == "__version__":
                    continue
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_statistics_know_tokens_and_what_methods_need_but_no_task_and_no_method() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path, room, tree in modules()
        if room == "statistics"
        for name in imported_modules(tree)
        if (name.startswith("evomerge.fitness.") and not name.startswith("evomerge.fitness.inference"))
        or (name.startswith("evomerge.methods") and name not in ("evomerge.methods", "evomerge.methods.Need"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", sorted(HOMES))
def test_big_libraries_have_one_home(library: str) -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path, _, tree in modules()
        for name in imported(tree)
        if name.split(".")[0] == library
    }
    strangers = sorted(file for file in users if not file.startswith(tuple(f"{home}/" for home in HOMES[library])))
    assert not strangers, f"{library} is imported outside {sorted(HOMES[library])}: {strangers}"
    if library in ONE_FILE:
        assert len(users) <= 1, f"{library} is imported in several files: {sorted(users)}"


def test_mergekit_is_never_imported() -> None:
    for path, _, tree in modules():
        assert not any(name.split(".")[0] == "mergekit" for name in imported(tree)), path


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for annotations count as well."""
    names = {name_of(path): tree for path, _, tree in modules()}
    graph = {name: {n for n in imported_modules(tree) if n in names} for name, tree in names.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join((*trail[trail.index(name) :], name))}"
        if name in done:
            return
        for other in sorted(graph[name]):
            # A package importing its own submodules is its front door, not a cycle.
            if other != name and not other.startswith(name + ".") and not name.startswith(other + "."):
                visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Modules and what is taken from them, which may be modules, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# Folders with one file per plugin.
REGISTRIES = {"methods", "post", "searchers", "executors", "statistics", "tracking", "transforms", "verbs"}


def test_no_folder_is_crowded() -> None:
    folders = {path.parent for path, _, _ in modules()} - {PACKAGE}
    counts = {folder: len(list(folder.glob("*.py"))) for folder in folders if folder.name not in REGISTRIES}
    assert not {str(folder.relative_to(PACKAGE)): count for folder, count in counts.items() if count > 16}


def test_files_functions_and_signatures_stay_short() -> None:
    long = []
    for path, _, tree in modules():
        lines = path.read_text(encoding="utf-8").count("\n")
        long += [f"{path}: {lines} lines"] if lines > 300 else []
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                body = (node.end_lineno or 0) - first.lineno + 1
                names = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
                parameters = [name for name in names if name not in ("self", "cls")]
                where = f"{path}:{node.lineno} {node.name}"
                long += [f"{where}: {body} lines"] if body > 50 else []
                long += [f"{where}: {len(parameters)} parameters"] if len(parameters) > 6 else []
    assert not long, "\n".join(long)


def test_docstrings_begin_with_a_noun() -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{path}:{getattr(node, 'lineno', 1)}"
        for path, _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, kinds) and (ast.get_docstring(node) or "").startswith("What ")
    ]
    assert not found, "\n".join(found)

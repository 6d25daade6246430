"""Nothing here runs what it reads: no pickle, no evaluated text, no shell, and YAML by a safe loader alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [*sorted((ROOT / "evomerge").rglob("*.py")), *sorted((ROOT / "experiments").rglob("*.py"))]
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
    "pty",
    "code",
}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.save", "yaml.load",
    "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all",
}  # fmt: skip
LOADERS = {"yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "yaml.CLoader"}
KEYWORDS = {"shell": "True", "allow_pickle": "True", "weights_only": "False"}


# The one program that runs a text: inside a sandbox, by itself, for texts that nobody has read.
SANDBOXED = {"evomerge/fitness/tasks/code/boot.py": ["compile", "exec"]}


WORDS = re.compile("|".join({*(re.escape(name.rpartition(".")[2]) for name in MODULES | CALLS | LOADERS), *KEYWORDS}))


def unsafe(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in LOADERS:
            yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            if (called := ast.unparse(node.func)) in CALLS:
                yield called
            for keyword in node.keywords:
                if keyword.arg in KEYWORDS and ast.unparse(keyword.value) == KEYWORDS[keyword.arg]:
                    yield f"{keyword.arg}={KEYWORDS[keyword.arg]}"


def test_sources_run_nothing_that_they_read() -> None:
    found = {}
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if WORDS.search(text) and (calls := sorted(set(unsafe(ast.parse(text))))):
            found[str(path.relative_to(ROOT))] = calls
    assert len(SOURCES) > 300
    assert found == SANDBOXED


def test_what_runs_in_the_sandbox_is_imported_nowhere() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bcode(\.| import .*)\b(boot|jail|trial)\b", text), path


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "torch.load(f)", "yaml.load(t, Loader=yaml.Loader)", "eval(x)",
        "subprocess.run(x, shell=True)", "np.load(f, allow_pickle=True)", "class L(yaml.UnsafeLoader): pass",
    ],
)  # fmt: skip
def test_what_is_looked_for_is_found(text: str) -> None:
    assert list(unsafe(ast.parse(text)))

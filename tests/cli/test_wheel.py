"""A wheel, installed elsewhere, works as the checkout does."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.apart import Apart

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed in."""
    folder = tmp_path_factory.mktemp("site")
    words = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    return folder


def run(bare: Apart, site: Path, cwd: Path, *words: str) -> str:
    """What Python prints with the installed wheel before everything else."""
    process = bare.start(f"import sys; sys.path.insert(0, {str(site)!r}); " + words[0], *words[1:], err=True, cwd=cwd)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    return printed


COMMAND = (
    "import evomerge; from pathlib import Path; assert Path(evomerge.__file__).is_relative_to(sys.path[0]); "
    "from evomerge.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


def test_it_holds_the_package_and_its_configuration(wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "evomerge").rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    }
    conf = {f"evomerge/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert names == package | conf


def test_it_composes_the_same_configuration(bare: Apart, site: Path, tmp_path: Path) -> None:
    say = (
        "import evomerge; from evomerge.config import compose; print(evomerge.__file__.startswith(sys.path[0])); "
        "print(compose.search(['experiment=example']).to_json())"
    )
    installed = run(bare, site, tmp_path, say)
    assert installed.startswith("True\n")
    assert installed == run(bare, ROOT, tmp_path, say)


def test_its_commands_answer(bare: Apart, site: Path, tmp_path: Path) -> None:
    printed = run(bare, site, tmp_path, COMMAND, "check", "experiment=example")
    assert "no problems found" in printed
    assert not list(tmp_path.iterdir())

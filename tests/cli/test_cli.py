"""The command line as processes see it: exit codes, and what is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import evomerge
from evomerge.cli.main import main
from tests.apart import Apart

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
HEAVY = ("torch", "transformers", "lm_eval", "hydra", "pymoo", "matplotlib", "datasets", "huggingface_hub")


def evomerge_process(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evomerge", *words],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_answers_without_loading_anything_heavy(tmp_path: Path) -> None:
    """One process is asked for all of it: what is not loaded in the end was loaded for none."""
    asked = [["--help"], ["--version"], *([verb, "--help"] for verb in ("search", "check", "merge", "export"))]
    code = (
        "import sys; from evomerge.cli.main import main\n"
        f"for words in {asked!r}:\n"
        "    assert main(words) == 0, words\n"
        "    print('===')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    *said, rest = done.stdout.split("===\n")
    assert len(set(said)) == len(asked)
    assert all(said)
    assert not rest


def test_help_names_every_verb_and_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    from evomerge.config import schema
    from evomerge.config.help import VERBS

    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(verb in overview for verb in VERBS)
    for verb, known in (("search", schema.SEARCH), ("evaluate", schema.EVALUATE), ("export", schema.EXPORT)):
        assert main([verb, "--help"]) == 0
        page = capsys.readouterr().out
        assert all(f"  {key} " in page for key in known)
        assert max(map(len, page.splitlines())) <= 120


def test_help_shows_what_choices_allow_and_hold(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from evomerge.config import compose, model_names, schema

    assert main(["search", "--help"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "sigma cma_me, cmaes: first standard deviation, of genes in [0, 1] (default 0.25)" in page
    assert "ga, nsga2, nsga3, smsemoa: probability that a child is mutated (default 0.9)" in page
    assert "(refuse | nearest | interpolated; default refuse)" in page
    config = compose.search(["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]"]).to_json()
    for name, key in schema.SEARCH.items():
        if key.kind.names is not None:
            default = config[name] if "." not in name else config[name.split(".")[0]][name.split(".")[1]]
            default = "auto" if name == "searcher.name" else default  # which depends on the objectives
            assert f"{key.doc} ({' | '.join(key.kind.names())}; default {default})" in page
    for name in [
        *model_names.local_tasks(["example:tasks"]),
        *(f"example:{model}" for model in model_names.example_models()),
    ]:
        assert name in page
    assert "NAME.higher_is_better = False" in page


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = evomerge_process("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"evomerge {evomerge.__version__}\n")


def test_bad_input_is_exit_code_2_and_leaves_nothing_behind(desk: Path) -> None:
    before = sorted(desk.rglob("*"))
    done = evomerge_process("search", "modles=[A,B]", "seed=x", "run_dir=run", cwd=desk)
    assert done.returncode == 2
    assert "5 problems" in done.stderr
    assert "did you mean 'models'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(desk.rglob("*")) == before


def test_output_needs_no_utf8_and_no_open_stream(tmp_path: Path) -> None:
    done = evomerge_process("search", "ünï=1", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "\\xfcn\\xef" in done.stderr
    closed = f"exec {sys.executable} -m evomerge --help >&- 2>&-"
    assert subprocess.run(["bash", "-c", closed], cwd=tmp_path, env=ENVIRONMENT, check=False).returncode == 0
    full = f"exec {sys.executable} -m evomerge --version >/dev/full"
    told = subprocess.run(["bash", "-c", full], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert (told.returncode, "No space left on device" in told.stderr) == (1, True)


TWICE = """
import os, sys
from evomerge.cli.main import main

os.rmdir(os.getcwd())
plain = main(sys.argv[1:])
print("again", file=sys.stderr)
sys.exit(10 * plain + main([*sys.argv[1:], "--debug"]))
"""


def test_a_failure_is_exit_code_1_and_one_line(desk: Path, bare: Apart) -> None:
    """A current folder that is gone is nobody's bad input."""
    (desk / "gone").mkdir()
    words = ["search", "models=[example:base]", "tasks=[a]", "task_path=[b]"]
    process = bare.start(TWICE, *words, err=True, cwd=desk / "gone")
    plain, _, debugged = process.communicate()[1].partition("again\n")
    assert process.returncode == 11, plain + debugged
    assert "--debug shows where" in plain
    assert len(plain.splitlines()) == 1
    assert "Traceback" in debugged


@pytest.mark.parametrize(("verb", "said"), [("search", "; the same command goes on from here"), ("evaluate", "")])
def test_an_interrupt_says_what_is_kept(desk: Path, capsys: pytest.CaptureFixture[str], verb: str, said: str) -> None:
    """It comes while a task's own code runs."""
    (desk / "my_tasks" / "judge.py").write_text("raise KeyboardInterrupt\n")
    task = desk / "my_tasks" / "rhymes.yaml"
    task.write_text(task.read_text().replace('"{{question}}"', "!function judge.text"))
    models = ["model=C"] if verb == "evaluate" else ["models=[A,B]", "base=C"]
    assert main([verb, *models, "tasks=[rhymes]", "task_path=[my_tasks]"]) == 130
    assert capsys.readouterr().err == f"stopped{said}\n"


SEARCH = ("models=[A,B]", "base=base", "tasks=[sums]", "task_path=tasks", "items_per_task=10")


def test_check_says_what_a_search_would_do_offline_and_writes_nothing(workshop: Path, bare: Apart) -> None:
    """The Hugging Face libraries read their variables once, on import, so what they hold tells which came first."""
    code = (
        "import sys; from evomerge.cli.main import main; "
        f"code = main(['check', *{SEARCH!r}, 'genome=layer']); "
        "import datasets, huggingface_hub; "
        "print(huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_DATASETS_OFFLINE); sys.exit(code)"
    )
    before = sorted(workshop.rglob("*"))
    unset = dict.fromkeys(name for name in os.environ if name.endswith("_OFFLINE"))
    process = bare.start(code, err=True, cwd=workshop, **unset)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    assert "genes: 10" in printed
    assert "executor local: in this process" in printed
    assert "\n  method_options.normalise=none (none | weight): what the sum over" in printed
    assert "no problems found" in printed
    assert printed.splitlines()[-1] == "True True"
    assert sorted(workshop.rglob("*")) == before

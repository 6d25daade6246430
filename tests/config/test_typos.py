"""What is mistyped is answered with what was probably meant."""

from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.errors import InputError

GOOD = ("models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]")

TYPOS = [
    # keys
    ("modles=[A,B]", "did you mean 'models'"),
    ("sed=1", "did you mean 'seed'"),
    ("taks=[rhymes]", "did you mean 'tasks'"),
    ("objectiv=[rhymes.acc]", "did you mean 'objectives'"),
    ("evaluation=10", "did you mean 'evaluations'"),
    ("item_per_task=5", "did you mean 'items_per_task'"),
    ("rundir=x", "did you mean 'run_dir'"),
    ("run-dir=x", "did you mean 'run_dir'"),
    ("method_option={}", "did you mean 'method_options'"),
    ("genome.split_kind=true", "did you mean 'genome.split_kinds'"),
    ("genom.depth=layer", "did you mean 'genome.depth'"),
    ("fitness.num_fewshots=1", "did you mean 'fitness.num_fewshot'"),
    ("num_fewshot=1", "did you mean 'fitness.num_fewshot'"),
    ("searcher.popsize=8", "did you mean 'searcher.options'"),
    ("population=8", "did you mean 'searcher.population'"),
    ("workers=2", "did you mean 'executor.workers'"),
    ("model.dtyp=float32", "did you mean 'model.dtype'"),
    ("budget.seconds=3", "did you mean 'budgets.seconds'"),
    ("budgets=3", "its keys are budgets.items, budgets.patience, budgets.seconds"),
    ("metod=ties", "did you mean 'method'"),
    ("model=[a]", "did you mean 'models'"),
    ("items_pre_task=3", "did you mean 'items_per_task'"),
    ("constraint=[]", "did you mean 'constraints'"),
    ("genome.dept=layer", "did you mean 'genome.depth'"),
    ("genome.splitkinds=true", "did you mean 'genome.split_kinds'"),
    ("budgets.patients=2", "did you mean 'budgets.patience'"),
    ("searcher.populaton=8", "did you mean 'searcher.population'"),
    # words of other tools
    ("merge_method=ties", "did you mean 'method'"),
    ("base_model=C", "did you mean 'base'"),
    ("limit=50", "did you mean 'items_per_task'"),
    ("algorithm=nsga2", "did you mean 'searcher'"),
    # groups and the names in them
    ("genome=layers", "did you mean 'layer'"),
    ("genome=block", "did you mean 'blocks'"),
    ("searcher=nsga", "did you mean 'nsga"),
    ("searcher=cma-es", "did you mean 'cmaes'"),
    ("searcher=nsga-2", "did you mean 'nsga2'"),
    ("searcher=cma", "did you mean 'cmaes'"),
    ("searcher=sms-emoa", "did you mean 'smsemoa'"),
    ("executor=process", "did you mean 'processes'"),
    ("experiment={}", "there is no experiment"),
    ("experiment=exmaple", "did you mean 'example'"),
    ("fitness=default", "there is no fitness 'default' (there are all, cut, "),
    # methods and their options
    ("method=tie", "did you mean 'ties'"),
    ("method=dare-ties", "did you mean 'dare_ties'"),
    ("method=tise", "did you mean 'ties'"),
    ("method=taskarithmetic", "did you mean 'task_arithmetic'"),
    ("method_options.normalize=none method=ties", "did you mean 'normalise'"),
    ("method=task_arithmatic", "did you mean 'task_arithmetic'"),
    ("method=ties method_options.vote=plain", "did you mean 'votes'"),
    ("searcher=de objectives=[rhymes.acc] searcher.options.wieght=0.5", "did you mean 'weight'"),
    # values
    ("model.dtype=flaot32", "did you mean 'float32'"),
    ("genome.basis=cosin", "did you mean 'cosine'"),
    ("genome.own_groups=[norms]", "did you mean 'norm'"),
    ("fitness.splits={serach:0.5,test:0.5}", "did you mean 'search'"),
    ("base=D", "there is no folder D"),
    ("models=[A,my_task]", "did you mean 'my_tasks'"),
    ("task_path=[my_task]", "did you mean 'my_tasks'"),
    ("tasks=example:tasks", "task_path=[example:tasks]"),
    ("models=[example:expert_x]", "there is no example:expert_x"),
    # words that are no key=value
    ("nsga2", "did you mean searcher=nsga2"),
    ("settings.yaml", "experiment=settings.yaml"),
    ("--multi-run", "unknown option"),
    ("--seed=3", "keys are written without dashes, seed=..."),
    ("--run-dir=x", "keys are written without dashes, run_dir=..."),
    ("models=A,B", "a list is written models=[A,B]"),
    ("tasks", "so tasks=..."),
    ("start_from=my_tasks/rhymes.yaml", "is not a run's folder (it is a file)"),
    ("start_from=my_task", "is not there; expected a run's folder; did you mean 'my_tasks'"),
]


@pytest.mark.parametrize(("words", "expected"), TYPOS, ids=[words for words, _ in TYPOS])
def test_suggestion(desk: Path, words: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        compose.search([*GOOD, *words.split()])
    assert len(caught.value.problems) == 1, caught.value.problems
    assert expected in caught.value.problems[0]


def test_good_words_alone_are_fine(desk: Path) -> None:
    assert compose.search(GOOD).method == "task_arithmetic"


def test_everything_wrong_is_said_at_once(desk: Path) -> None:
    with pytest.raises(InputError) as caught:
        compose.search(
            ["models=[A,A,E]", "sed=1", "genome=layr", "evaluations=-3", "tasks=[]", "method=tiess", "seed=x", "foo"]
        )
    text = "\n".join(caught.value.problems)
    for expected in (
        "A is given 2 times",
        "no folder E",
        "sed",
        "layr",
        "evaluations",
        "tasks",
        "tiess",
        "seed:",
        "foo",
    ):
        assert expected in text
    assert len(caught.value.problems) == 9


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["serch", "seed=1"], "did you mean 'search'"),
        (["exprot"], "did you mean 'export'"),
        (["seed=1"], "evomerge search experiment=example seed=1"),
        (["--seed=1", "run_dir=a b"], "evomerge search experiment=example seed=1 'run_dir=a b'"),
        (["check", "-m", "seed=0,1"], "-m is for search"),
        (
            ["check", "merge"],
            "1 problem\n  - check merge: check foretells a search, build, condense, transform, layers",
        ),
        (["check", "export", "run=x"], "export itself wants: evomerge export run=runs/x member=knee out=merged ("),
        (
            ["check", "submit", "seed=1"],
            "1 problem\n  - check submit: write a search's words alone; submit",
        ),
        (
            ["check", "statistics", "list"],
            "1 problem\n  - check statistics list: of statistics, check says what collecting",
        ),
        (["check", "statistics", "remove", "key=[all]"], "evomerge statistics list | collect | remove\n"),
        (["check", "statistics", "collect"], "3 problems\n  - model: missing"),
        (["check", "statistics", "collect", "model=A", "statistic=[fisher]"], "1 problem\n  - calibration: missing"),
        (["check", "statistics", "collect", "models=[A,B]", "base=C"], "1 problem\n  - tasks: name at least one"),
        (["check", "search", "models=[A,B]", "base=C"], "1 problem\n  - tasks: name at least one"),
        (["check", "build", "experts=[A,B]"], "base: name the model that everything"),
        (["merge", "recip=x", "out=y"], "did you mean 'recipe'"),
        (["report", "runs=x"], "did you mean 'run'"),
        (["report"], "evomerge: 1 problem\n  - run: missing"),
        (["report", "run"], "evomerge: 1 problem\n  - run: expected key=value, so run=..."),
        (["report", "run=null"], "evomerge: 1 problem\n  - run: missing"),
        (["report", "runs/x"], "did you mean run=runs/x?"),
        (["report", "run=my_tasks"], "(it has no manifest.json)\n"),
        (
            ["merge", "recipe=my_tasks", "out=y"],
            "recipe: my_tasks is a folder; expected a recipe.json, or mergekit's YAML\n",
        ),
        (["export", "run=nowhere"], "run: nowhere is not there; expected a run's folder"),
        (["merge", "recipe=nowhere.json", "out=y"], "there is no file nowhere.json"),
        (["evaluate", "tasks=[rhymes]", "task_path=[my_tasks]"], "model: missing"),
        (["evaluate", "model=C", "tasks=[rhymes]", "task_path=[my_tasks]", "splitt=test"], "did you mean 'split'"),
        (["evaluate", "model=C", "tasks=[rhymes]", "task_path=[my_tasks]", "split=tets"], "did you mean 'test'"),
    ],
)
def test_other_verbs(desk: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str) -> None:
    before = sorted(desk.rglob("*"))
    assert main(words) == 2
    assert expected in capsys.readouterr().err
    assert sorted(desk.rglob("*")) == before

"""From words to a checked configuration."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.recipe import CheckpointRef

GOOD = ("models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]")


def problems(*words: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        compose.search([*GOOD, *words])
    return list(caught.value.problems)


def test_what_is_given_and_what_is_not(desk: Path) -> None:
    config = compose.search([*GOOD, "seed=7", "genome=blocks", "genome.block_size=2"], ("evomerge", "search", "..."))
    assert config.models == (CheckpointRef("A"), CheckpointRef("B"))
    assert config.base == CheckpointRef("C")
    assert (config.seed, config.budgets.evaluations, config.run_dir) == (7, 200, None)
    assert (config.genome.depth, config.genome.block_size) == ("blocks", 2)
    assert config.fitness.splits == {"search": 0.5, "selection": 0.2, "test": 0.3}
    assert config.command == ("evomerge", "search", "...")


def test_json_holds_every_setting_and_no_command(desk: Path) -> None:
    config = compose.search(GOOD, ("evomerge",))
    found = json.loads(json.dumps(config.to_json()))
    assert found == config.to_json()
    assert "command" not in found
    assert found["models"][0]["source"] == "A"
    assert found["searcher"] == {"name": "cmaes", "population": None, "options": {}}


def test_the_last_word_on_a_key_counts(desk: Path) -> None:
    assert compose.search([*GOOD, "seed=1", "genome=blocks", "seed=2", "genome=model"]).seed == 2
    assert compose.search([*GOOD, "genome=blocks", "genome=model"]).genome.depth == "model"


def test_mappings_are_replaced_as_a_whole_and_entered_by_key(desk: Path) -> None:
    whole = compose.search([*GOOD, "searcher=de", "searcher.options={weight:0.5}"])
    assert whole.searcher.options == {"weight": 0.5}
    entered = compose.search([*GOOD, "searcher=de", "searcher.options.weight=0.5"])
    assert entered.searcher.options == {"weight": 0.5, "crossover": 0.5}
    nested = compose.search([*GOOD, "genome.fixed.embedding.weight=0", "genome.fixed.head.weight=1"])
    assert nested.genome.fixed == {"embedding": {"weight": 0}, "head": {"weight": 1}}
    section = compose.search([*GOOD, "fitness={num_fewshot:2,apply_chat_template:true}"])
    assert (section.fitness.num_fewshot, section.fitness.apply_chat_template) == (2, True)


def test_lists_and_mappings_from_files(desk: Path) -> None:
    (desk / "experts.yaml").write_text("- A\n- {source: B, hub_id: org/b}\n")
    (desk / "goals.yaml").write_text("[rhymes.acc, 0.5*rhymes.acc_norm]\n")
    (desk / "options.yaml").write_text("votes: plain\n")
    words = ["models=experts.yaml", "objectives=goals.yaml", "method=ties", "method_options=options.yaml"]
    config = compose.search([*GOOD, *words])
    assert config.models == (CheckpointRef("A"), CheckpointRef("B", hub_id="org/b"))
    assert config.objectives == ("rhymes.acc", "0.5*rhymes.acc_norm")
    assert config.method_options == {"votes": "plain"}
    assert compose.search([*GOOD, "tasks=my_tasks/rhymes.yaml"]).fitness.tasks == ("my_tasks/rhymes.yaml",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "cannot be read: No such file"), ("a: 1", "holds no list"), ("[a", "is not YAML"), ("\x00", "is not YAML")],
)
def test_bad_files(desk: Path, content: str | None, expected: str) -> None:
    if content is not None:
        (desk / "experts.yaml").write_text(content)
    found = problems("models=experts.yaml")
    assert len(found) == 1
    assert expected in found[0]


def test_what_json_cannot_hold_is_refused(desk: Path) -> None:
    (desk / "options.yaml").write_text("votes: 2024-05-01\n")
    assert "not JSON serializable" in problems("method=ties", "method_options=options.yaml")[0]


def test_an_experiment_of_ones_own(desk: Path) -> None:
    (desk / "mine.yaml").write_text("genome: blocks\nseed: 5\nfitness: {num_fewshot: 3}\nbudgets.seconds: 60\n")
    config = compose.search(["experiment=mine.yaml", *GOOD, "seed=6"])
    assert (config.genome.depth, config.seed, config.fitness.num_fewshot) == ("blocks", 6, 3)
    assert config.budgets.seconds == 60
    assert compose.search([*GOOD, "seed=6", "experiment=mine.yaml"]).seed == 6
    (desk / "mine.yaml").write_text("genom: blocks\nfitness: {num_fewshots: 3}\n")
    assert [problem.split(": ")[0] for problem in problems("experiment=mine.yaml")] == ["mine.yaml"] * 2


def test_python_values_mean_what_words_mean(desk: Path) -> None:
    values = {"models": ["A", "B"], "base": "C", "tasks": ["rhymes"], "task_path": "my_tasks", "genome": "blocks"}
    words = [*GOOD, "genome=blocks", "fitness.num_fewshot=1", "model.device=cpu"]
    config = compose.from_values({**values, "fitness": {"num_fewshot": 1}, "model.device": "cpu"})
    assert replace(config, command=()) == compose.search(words)
    assert compose.search(config.command[2:], config.command) == config
    with pytest.raises(InputError, match="did you mean 'seed'"):
        compose.from_values({**values, "sed": 1})
    assert compose.from_values({**values, "experiment": None}) == compose.from_values(values)
    with pytest.raises(InputError, match=r"genome: expected one of auto, .* or a mapping of its settings, came 3"):
        compose.from_values({**values, "genome": 3})
    with pytest.raises(InputError, match=r"experiment: expected one of example, .*, came \['example'\]"):
        compose.from_values({**values, "experiment": ["example"]})


def test_within_a_program_that_hydra_runs(desk: Path) -> None:
    with initialize_config_dir(config_dir=str(desk / "my_tasks"), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        assert compose.from_values({"models": ["A", "B"], "base": "C", "tasks": ["rhymes"]}).seed == 0
        assert GlobalHydra.instance().hydra is outer


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("seed=-1", "whole number from 0"),
        ("seed=1.5", "whole number"),
        ("seed=true", "whole number"),
        ("evaluations=0", "at least 1"),
        ("items_per_task=none", "or null"),
        ("budgets.seconds=0", "greater than 0"),
        ("budgets.seconds=inf", "a number"),
        ("genome.split_kinds=yes", "true or false"),
        ("genome.control_points=1", "at least 2"),
        ("genome.bounds={weight:[1,0]}", "low < high"),
        ("genome.bounds={weight:2}", "[low, high]"),
        ("genome.fixed={embedding:0}", "{coefficient: value}"),
        ("fitness.splits={search:0.5,test:0.3}", "sum to 0.8"),
        ("fitness.splits={search:1.5,test:-0.5}", "fractions"),
        ("fitness.fewshot_as_multiturn=true", "apply_chat_template=true"),
        ("method_options=3", "a mapping"),
        ("tasks=[]", "name at least one"),
        ("tasks=[rhymes,rhymes]", "given twice"),
        ("tasks=[{data:x.jsonl}]", "needs its name"),
        ("models=[]", "name the models to merge"),
        ("models=[A,A]", "given 2 times"),
        ("models=[{revision:x}]", "needs a source"),
        ("models=[{source:A,revison:x}]", "did you mean 'revision'"),
        ("models=[A,my_tasks/rhymes.yaml]", "is a file"),
        ("base=null", "needs the model"),
        ("method=slerp models=[A]", "exactly 2"),
        ("evaluations=null", "needs an end"),
        ("executor.workers=4", "executor=processes"),
        ("executor.timeout=9", "executor.timeout: local has no such setting"),
        ("executor.retries=9", "executor.retries: local has no such setting"),
        ("executor=processes executor.timeout=0", "greater than 0"),
        ("executor=processes executor.memory=lots", "executor.memory"),
        ("executor=processes executor.options.device=cuda", "write model.device"),
        ("executor=folder executor.options.folder=x", "leave it out"),
        ("searcher.population=3", "at least 5"),
        ("searcher=nsga2 objectives=[rhymes.acc]", "several objectives"),
        ("searcher=ga objectives=[rhymes.acc,rhymes.acc_norm]", "one objective"),
        ("start_from=my_tasks", "not a run's folder"),
        ("run_dir=my_tasks/rhymes.yaml", "is a file"),
        ("functions=[wish.py]", "FILE.py:NAME"),
        ("functions=[wish.py:f]", "there is no file"),
        ("functions=[bad.py:f]", "is not Python"),
        ("functions=[good.py:brevty]", "did you mean 'brevity'"),
        ("method_options.a=1 method_options=3", "a mapping"),
        ("genome.fixed.a=0 genome.fixed.a.weight=x genome.fixed.b=0", "genome.fixed.b"),
        ("method_options=nowhere.yaml method_options.a=1", "cannot be read"),
        ("searcher.name=[]", "searcher.name: expected a name, came []"),
        ("base=" + "a" * 300, "no folder aaa"),
        ("base=~nobody-has-this-name/x", "no folder ~nobody"),
        ("base=${oc.env:NO_SUCH_VARIABLE_AT_ALL}", "cannot be filled in"),
        ("models=[{source:A,revision:3},B]", "revision is 3; expected a text"),
        ("models=[{source:''},B]", "needs a source"),
        ("seed=" + "9" * 5000, "expected a whole number from 0 to 9223372036854775807, came '99999"),
        ("model.prepared_disk=" + "9" * 400, "expected a number of bytes"),
        ("method_options=" + "[" * 3000, "cannot be read"),
        ("method_options=[!!bool,é]", "cannot be read"),
    ],
)
def test_values_out_of_range(desk: Path, word: str, expected: str) -> None:
    (desk / "bad.py").write_text("def f(:\n")
    (desk / "good.py").write_bytes(b"\xef\xbb\xbfdef brevity(model, tokenizer):\n    return 0.0\n")
    found = problems(*word.split())
    assert any(expected in problem for problem in found), found


def test_what_cannot_be_filled_in_is_one_problem(desk: Path) -> None:
    for key in ("models", "base", "method", "seed", "genome.bounds", "tasks"):
        found = problems(f"{key}=${{oc.env:NO_SUCH_VARIABLE_AT_ALL}}")
        assert len(found) == 1, found


@pytest.mark.parametrize("text", ["a: 2024-13-45", "a: !!bool maybe", "a: !!timestamp x", "[" * 3000])
def test_values_that_yaml_makes_nothing_of(desk: Path, text: str) -> None:
    (desk / "odd.yaml").write_text(text)
    for key in ("experiment", "models", "method_options"):
        found = problems(f"{key}=odd.yaml")
        assert len(found) == 1
        assert "the file odd.yaml is not YAML: " in found[0]


def test_a_function_may_stand_in_a_file_of_any_encoding(desk: Path) -> None:
    text = "def höflich(model, tokenizer):\n    return 0.0\n"
    (desk / "mark.py").write_text(text, encoding="utf-8-sig")
    (desk / "old.py").write_text(f"# coding: latin-1\n{text}", encoding="latin-1")
    words = ["mark.py:höflich", "old.py:höflich"]
    assert compose.search([*GOOD, f"functions=[{','.join(words)}]"]).functions == tuple(words)


def test_environment_variables_are_filled_in(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERTS", "A")
    assert compose.search([*GOOD, "models=['${oc.env:EXPERTS}',B]"]).models[0] == CheckpointRef("A")


def test_a_filter_after_a_comma_needs_no_quotes(desk: Path) -> None:
    words = ["objectives=[rhymes.acc,strict-match,rhymes.acc_norm]"]
    words += ["constraints=[rhymes.acc,strict-match >= base - 0.01, rhymes.acc_norm >= 0.5]"]
    config = compose.search([*GOOD, *words])
    assert config.objectives == ("rhymes.acc,strict-match", "rhymes.acc_norm")
    assert config.constraints == ("rhymes.acc,strict-match >= base - 0.01", "rhymes.acc_norm >= 0.5")


@pytest.mark.parametrize(
    ("words", "offline"),
    [
        ([], True),
        (["models=[A,org/name]"], False),
        (["base=org/name@main"], False),
        (["models=[A,org/name]", "offline=true"], True),
        (["tasks=[rhymes,arc_easy]"], False),
        (["tasks=[{task:mine,data:x.jsonl}]"], True),
        (["offline=false"], False),
    ],
)
def test_the_hub_is_out_of_bounds_unless_it_is_asked_for(desk: Path, words: list[str], offline: bool) -> None:
    assert compose.search([*GOOD, *words]).offline is offline


@pytest.mark.parametrize(("models", "offline"), [("A", True), ("A,org/name", False), ("org/name+A", False)])
def test_so_it_is_for_compare(desk: Path, models: str, offline: bool) -> None:
    """What an adapter is on counts too."""
    assert compose.compare([f"models=[{models}]", "base=C"]).offline is offline


def test_a_folder_wins_over_a_hub_id_and_a_revision_belongs_to_the_hub(desk: Path) -> None:
    (desk / "org" / "name").mkdir(parents=True)
    assert compose.search([*GOOD, "base=org/name"]).offline
    assert compose.search([*GOOD, "base=other/name@v1"]).base == CheckpointRef("other/name", "v1")
    assert "did you mean 'name'" in problems("base=org/nam")[0]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "cmaes"),
        (["objectives=[rhymes.acc]"], "cmaes"),
        (["objectives=[rhymes.acc,rhymes.acc_norm]"], "nsga2"),
        (["tasks=[rhymes,arc_easy]"], "nsga2"),
        (["searcher=random"], "random"),
    ],
)
def test_the_searcher_follows_from_the_number_of_objectives(desk: Path, words: list[str], name: str) -> None:
    assert compose.search([*GOOD, *words]).searcher.name == name

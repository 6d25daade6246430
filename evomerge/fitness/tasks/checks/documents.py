"""Checks what every document of a task says: its question, its options, its right answer.

lm-eval takes whatever it finds: a text as a list of letters, null as the text "None", true as place 1, and it fails on
the one item that has an empty option when a model has already been asked. Here all items are read once beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from lm_eval.api.task import ConfigurableTask, Task

from evomerge.errors import suggest
from evomerge.fitness.tasks.checks.answers import (
    NUMBER_LIKE_ANOTHER,
    check_choice,
    check_generated,
    check_scored,
    is_missing,
)
from evomerge.fitness.tasks.checks.fields import Fields, Reading, first_line
from evomerge.fitness.tasks.checks.findings import Case, Findings, kind_of, null_field, shown
from evomerge.fitness.tasks.checks.options import check_options

# A task whose class does one of these itself alone knows what its documents mean.
_OWN = ("construct_requests", "fewshot_context")


def is_declared(task: Task) -> TypeGuard[ConfigurableTask]:
    """Whether a task asks what it declares, and not what a class of its own makes of its documents."""
    return isinstance(task, ConfigurableTask) and all(
        getattr(type(task), name) is getattr(ConfigurableTask, name) for name in _OWN
    )


def judges_itself(task: Task) -> bool:
    """Whether code of the task's own judges answers: it alone knows what a right answer is."""
    own = not isinstance(task, ConfigurableTask) or type(task).process_results is not ConfigurableTask.process_results
    return own or callable(task.get_config("process_results"))


def check_items(task: ConfigurableTask, name: str, docs: Sequence[Any], *, lenient: bool = False) -> Findings:
    """Checks the documents that a task is scored on.

    Args:
        task: As lm-eval made it, or left it when it failed.
        name: Of the task.
        docs: Its documents.
        lenient: Whether a null in a question is only warned of, as for tasks that people cannot edit.
    """
    return _check(Fields(task, task.config), task, docs, Findings(name, len(docs)), lenient=lenient)


def check_examples(task: ConfigurableTask, name: str, docs: Sequence[Any], *, lenient: bool = False) -> Findings:
    """Checks the documents that examples are drawn from; arguments as in :func:`check_items`."""
    found = Findings(name, len(docs), "example")
    return _check(Fields(task, task.fewshot_cfg), task, docs, found, lenient=lenient)


def _check(fields: Fields, task: ConfigurableTask, docs: Sequence[Any], found: Findings, *, lenient: bool) -> Findings:
    several: bool | None = None
    # lm-eval settles by the first item whether options are questions, of which the question names the right one.
    first = fields.read("doc_to_text", docs[0]).value if docs else None
    places = isinstance(first, int) and not isinstance(first, bool) and fields.has("doc_to_choice")
    for place, doc in enumerate(docs):
        case = Case(found, place, doc, generated=task.OUTPUT_TYPE == "generate_until", lenient=lenient)
        question = fields.read("doc_to_text", doc)
        target = fields.read("doc_to_target", doc)
        case.question = target.value if places else question.value
        _check_question(fields, case, question, places=places)
        options = check_options(fields, case) if fields.has("doc_to_choice") else None
        several = isinstance(target.value, list) if several is None else several
        if places:
            if not is_missing(fields, case, target) and options and isinstance(question.value, int):
                check_choice(fields, case, question, options)
        elif task.OUTPUT_TYPE in ("loglikelihood", "loglikelihood_rolling"):
            check_scored(fields, case, target)
        elif judges_itself(task) or set(task._metric_fn_list) == {"bypass"}:
            continue
        elif fields.has("doc_to_choice"):
            if options:
                check_choice(fields, case, target, options)
        else:
            check_generated(fields, case, target, several=several)
    if 2 * found.count(NUMBER_LIKE_ANOTHER) < len(docs):
        found.drop(NUMBER_LIKE_ANOTHER)
    return found


def _check_question(fields: Fields, case: Case, question: Reading, *, places: bool) -> None:
    value, kind, name = question.value, kind_of(question.value), fields.field("doc_to_text") or "question"
    if question.error is not None:
        case.tell("the question of {items} cannot be read", f"with {_told(question.error, case.doc)}")
    elif question.nulls or kind in ("null", "NaN"):
        null = null_field(fields.names("doc_to_text"), case.doc)
        remedy = f"give it a text, or write {{{{{name} or ''}}}}"
        case.tell("the question of {items} holds null", null, remedy=remedy, fatal=not case.lenient or bool(kind))
    elif places and not isinstance(value, int):
        remedy = f'put words around it, for example "Question: {{{{{name}}}}}"'
        case.tell("the question of {items} is a text, but that of the first a number, read as the place of an option",
                  f"with {shown(value)}", remedy=remedy)  # fmt: skip
    elif not places and kind:
        remedy = f'put words around it, for example "Question: {{{{{name}}}}}"'
        case.tell(f"the question of {{items}} is {kind}, not a text", f"with {shown(value)}", remedy=remedy)
    elif question.holds and not case.lenient:
        remedy = "name its parts, or join them; if it is meant to be printed like that, write {{NAME | string}}"
        case.tell(f"the question of {{items}} prints {question.holds}, with brackets and quotes",
                  f"as {shown(value)}", remedy=remedy, fatal=False)  # fmt: skip
    elif question.dates:
        remedy = "declare the data so that dates stay texts"
        case.tell("the question of {items} holds a date, not written as in the data", remedy=remedy, fatal=False)


def _told(error: BaseException, doc: Any) -> str:
    told = first_line(error)
    if type(error).__name__ != "UndefinedError" or not isinstance(doc, Mapping):
        return told
    unknown = told.split("'")[1] if "'" in told else ""
    return f"{told}{suggest(unknown, doc)} (fields: {', '.join(map(str, doc))})"

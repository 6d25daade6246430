"""Question, options and right answer of documents as lm-eval reads them; notes what templates print that is no text."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
import jinja2.meta
import lm_eval.utils
from lm_eval.api.task import ConfigurableTask

from evomerge.fitness.tasks.checks.findings import is_list, is_null, kind_of

# Whatever templates, data and code of a task raise. Code that calls sys.exit ends itself, not the program.
ANY_ERROR = (Exception, SystemExit)


@dataclass(frozen=True)
class Reading:
    """A part of a document as lm-eval reads it.

    Attributes:
        value: The part; ``None`` where it could not be read.
        error: Why it could not be read, if so.
        nulls: Whether a template printed null or NaN into it.
        dates: Whether a template printed a date into it.
        texts: Whether what a template printed were texts alone.
        holds: Type of a list or an object that a template printed, in words; empty where there is none.
        printed: The text that the template gave, before lm-eval made something else of it.
    """

    value: Any
    error: BaseException | None = None
    nulls: bool = False
    dates: bool = False
    texts: bool = True
    holds: str = ""
    printed: str | None = None


class Fields:
    """Parts of a task's documents.

    Args:
        task: As lm-eval made it.
        declared: Where templates are declared: the task's configuration, or that of its examples.
    """

    def __init__(self, task: ConfigurableTask, declared: Any) -> None:
        self._task = task
        self._declared = declared
        self._printed: list[Any] = []
        self._environment = lm_eval.utils.env.overlay(finalize=self._note)
        self._compiled: dict[str, jinja2.Template] = {}

    def read(self, part: str, doc: Any) -> Reading:
        """Reads one part of a document.

        Args:
            part: ``doc_to_text``, ``doc_to_choice`` or ``doc_to_target``.
            doc: The document.
        """
        self._printed.clear()
        printed = None
        try:
            if (template := self.template(part)) is not None:
                printed = self._compile(template).render(**doc)
            declared = () if self._declared is self._task.config else (getattr(self._declared, part),)
            value = getattr(self._task, part)(doc, *declared)
        except ANY_ERROR as error:  # templates and code of a task can fail in any way
            return Reading(None, error, printed=printed)
        return Reading(
            value,
            nulls=any(is_null(entry) for entry in self._printed),
            dates=any(hasattr(entry, "isoformat") for entry in self._printed),
            texts=all(isinstance(entry, str) for entry in self._printed),
            holds=next((kind_of(one) for one in self._printed if is_list(one) or isinstance(one, Mapping)), ""),
            printed=printed,
        )

    def has(self, part: str) -> bool:
        """Whether the task declares a part."""
        return getattr(self._declared, part, None) is not None

    def field(self, part: str) -> str | None:
        """Name of the field that a part is, where it is one alone."""
        declared = getattr(self._declared, part, None)
        if isinstance(declared, str) and declared in self._task.features:
            return declared
        names = self.names(part)
        return names[0] if len(names) == 1 else None

    def names(self, part: str) -> list[str]:
        """Names of the fields that a part mentions."""
        declared = getattr(self._declared, part, None)
        if not isinstance(declared, str):
            return []
        if declared in self._task.features:
            return [declared]
        try:
            return sorted(jinja2.meta.find_undeclared_variables(self._environment.parse(declared)))
        except jinja2.TemplateSyntaxError:
            return []

    def template(self, part: str) -> str | None:
        """The template of a part, where it is one."""
        declared = getattr(self._declared, part, None)
        own = getattr(type(self._task), part) is not getattr(ConfigurableTask, part)
        if own or getattr(self._task, "prompt", None) is not None or not isinstance(declared, str):
            return None
        return None if declared in self._task.features else declared

    def constant(self, part: str) -> Any:
        """A part that is declared as itself, not as a template or a function; else ``None``."""
        declared = getattr(self._declared, part, None)
        return declared if isinstance(declared, list | Mapping) else None

    def _compile(self, template: str) -> jinja2.Template:
        if template not in self._compiled:
            # The class's own: an overlay inherits what ``compiled_once`` has put over the method of lm-eval's.
            self._compiled[template] = jinja2.Environment.from_string(self._environment, template)
        return self._compiled[template]

    def _note(self, value: Any) -> Any:
        if not isinstance(value, jinja2.Undefined):
            self._printed.append(value)
        return value


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """Compiles each template once in this block.

    lm-eval compiles it anew for every document, which takes most of the time of building a task.
    """
    environment: Any = lm_eval.utils.env
    compile_: Callable[[str], jinja2.Template] = environment.from_string
    environment.from_string = functools.cache(compile_)
    try:
        yield
    finally:
        del environment.from_string


def first_line(error: BaseException) -> str:
    """Type and first line of an error of templates, data or code of a task."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"

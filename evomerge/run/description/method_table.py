"""All merge methods and steps after a merge as a table: what each needs, takes and costs, and what it agrees with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evomerge import methods, post
from evomerge.methods import MergeMethod
from evomerge.options import Option
from evomerge.post import PostProcess
from evomerge.recipe import Coefficient

__all__ = ["as_json", "details", "markdown", "overview"]

_NAMES, _INDENT = 18, "    "


def overview() -> Iterator[str]:
    """A line for each method, and below it its source, what it needs and whose results it agrees with."""
    for method in _all():
        yield from _in_short(method)
    yield ""
    yield "steps after the merge (post=[NAME,...]), of any method's merged delta:"
    for step in _steps():
        yield from _in_short(step)


def details(name: str) -> Iterator[str]:
    """Everything about one method or step.

    Raises:
        InputError: If there is none of that name.
    """
    found = post.load(name) if name in post.names() else methods.load(name)
    yield f"{found.name}: {found.summary}"
    yield ""
    yield f"paper: {found.paper}"
    yield f"needs: {'; '.join(_needs(found))}"
    yield f"agrees with: {found.agrees_with or 'an example worked by hand from the paper'}"
    yield f"a candidate costs: {_cost(found)}"
    yield ""
    yield "coefficients, under the default options:"
    yield from (f"{_INDENT}{line}" for line in _coefficients(found))
    yield ""
    place = "method_options.NAME=VALUE" if isinstance(found, MergeMethod) else f"post=[{{step: {name}, NAME: VALUE}}]"
    yield f"options ({place}):" if found.options else "options: none"
    yield from (f"{_INDENT}{name}: {_option(option)}" for name, option in found.options.items())


def as_json() -> dict[str, list[dict[str, Any]]]:
    """All methods and steps as data."""
    found = [
        {
            **_plain(method),
            "models": list(method.models),
            "random": method.stochastic,
            "prepares": method.prepare is not None,
            "surveys": method.survey is not None,
        }
        for method in _all()
    ]
    return {"methods": found, "steps": [_plain(step) for step in _steps()]}


def markdown() -> str:
    """The table for people, as Markdown."""
    head = ["method", "what it does", "needs", "searched coefficients", "options", "agrees with", "a candidate costs"]
    lines = [_row(head), _row(["---"] * len(head)), *(_row(_cells(method)) for method in _all())]
    papers = [f"- `{method.name}`: {method.paper}" for method in _all()]
    return "\n".join(
        [
            "# Merge methods",
            "",
            "Every merge method and every step after the merge, for whoever chooses one;",
            "[Methods and recipes](../merging/README.md) says how they are used. `evomerge methods name=NAME` says",
            "what each option means, and which bounds a search has.",
            "`evomerge methods markdown=evomerge/methods/README.md` wrote this page.",
            "",
            *lines,
            "",
            "## Sources",
            "",
            *papers,
            "",
            "## Steps after the merge",
            "",
            *_step_lines(),
            "",
        ]
    )


def _all() -> list[MergeMethod]:
    return [methods.load(name) for name in methods.names()]


def _steps() -> list[PostProcess]:
    return [post.load(name) for name in post.names()]


def _step_lines() -> list[str]:
    head = ["step", "what it does", "needs", "searched coefficients", "options", "agrees with", "a candidate costs"]
    papers = [f"- `{step.name}`: {step.paper}" for step in _steps()]
    return [_row(head), _row(["---"] * len(head)), *(_row(_cells(step)) for step in _steps()), "", *papers]


def _in_short(found: MergeMethod | PostProcess) -> Iterator[str]:
    yield f"{found.name:<{_NAMES}} {found.summary}"
    agrees = [f"agrees with {found.agrees_with}"] if found.agrees_with else []
    yield f"{'':<{_NAMES}} {'; '.join([found.paper.split(',')[0], *_needs(found), *agrees])}"


def _plain(found: MergeMethod | PostProcess) -> dict[str, Any]:
    return {
        "name": found.name,
        "summary": found.summary,
        "paper": found.paper,
        "base": found.base if isinstance(found, MergeMethod) else "required",
        "agrees_with": found.agrees_with or None,
        "cost": _cost(found),
        "coefficients": [_coefficient_json(c) for c in found.coefficients(found.resolve({}))],
        "options": {name: _option_json(option) for name, option in found.options.items()},
    }


def _needs(method: MergeMethod | PostProcess) -> list[str]:
    if isinstance(method, PostProcess):
        return ["a base", *_statistics(method)]
    base = {"required": "a base", "optional": "no base", "either": "models, or deltas with a base", "none": "no base"}
    least, most = method.models
    count = f"{least}" if most == least else f"{least} or more" if most is None else f"{least} to {most}"
    found = [base[method.base], f"{count} model{'' if most == least == 1 else 's'}"]
    return [*found, *(["random masks"] if method.stochastic else []), *_statistics(method)]


def _statistics(found: MergeMethod | PostProcess) -> list[str]:
    """The statistics of texts that it reads, each with whose they are."""
    whose = {"models": "each model", "base": "the base"}
    read: dict[str, list[str]] = {}
    for need in found.needs(found.resolve({})):
        read.setdefault(need.statistic, []).append(whose[need.of])
    return [f"statistic `{name}` of {' and '.join(of)}" for name, of in read.items()]


def _cost(method: MergeMethod | PostProcess) -> str:
    if method.cost or isinstance(method, PostProcess):
        return method.cost
    prepared = "; prepared once for each tensor" if method.prepare is not None else ""
    return f"a pass over base and models{prepared}"


def _coefficients(found: MergeMethod | PostProcess) -> Iterator[str]:
    shared = "one for all models" if isinstance(found, MergeMethod) else "one for each group"
    yield from (_coefficient(own, shared) for own in found.coefficients(found.resolve({})))


def _coefficient(own: Coefficient, shared: str) -> str:
    """A coefficient in words; ``shared`` says of what those are that are neither of a model nor of the whole one."""
    each = "shares of the models" if own.simplex else "one for each model" if own.per_model else shared
    each = "one for the whole model" if own.whole else each
    searched = f"searched from {own.low:g} to {own.high:g}" if own.searched else "not searched by default"
    return f"{own.name}: {own.doc} ({each}; {searched}; neutral {own.neutral:g})"


def _coefficient_json(own: Coefficient) -> dict[str, Any]:
    names = ("name", "doc", "low", "high", "neutral", "per_model", "simplex", "whole", "searched")
    return {name: getattr(own, name) for name in names}


def _option(option: Option) -> str:
    return f"{option.doc} ({option.accepted()}; by default {_value(option.default)})"


def _option_json(option: Option) -> dict[str, Any]:
    return {"doc": option.doc, "default": option.default, "choices": option.choices and list(option.choices)}


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)


def _cells(method: MergeMethod | PostProcess) -> list[str]:
    agrees = method.agrees_with or "its paper, by hand"
    needs = ", ".join(_needs(method))
    return [f"`{method.name}`", method.summary, needs, _searched(method), _options(method), agrees, _cost(method)]


def _searched(found: MergeMethod | PostProcess) -> str:
    word = " (one for the whole model)"
    return ", ".join(c.name + word * c.whole for c in found.coefficients(found.resolve({})) if c.searched)


def _options(found: MergeMethod | PostProcess) -> str:
    return ", ".join(f"`{name}`" + _choices(option) for name, option in found.options.items())


def _choices(option: Option) -> str:
    words = option.choices or (option.default,)
    first = [option.default, *(word for word in words if word != option.default)]
    return f" ({', '.join(map(_value, first))})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

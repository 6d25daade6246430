"""Reads objectives and constraints as people write them.

An objective is a metric key, ``sort.acc``, or a weighted sum, ``0.7*sort.acc + 0.3*reverse.acc``. A constraint is a
metric key, ``>=`` or ``<=``, and a number or a number relative to a baseline, ``all.acc >= base - 0.01``. A measure is
what an objective is, and may say where its grid ends, ``sort.acc from 0 to 0.75``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from evomerge.errors import InputError, suggest
from evomerge.evaluation import Constraint, Measure, Objective

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SHARES = ("acc", "exact_match")  # shares of right answers, the metric that is meant where only a task is named
_TERM = re.compile(rf"^(?:(?P<weight>{_NUMBER})\s*\*\s*)?(?P<key>[^\s*]+)$")
_CONSTRAINT = re.compile(
    rf"^(?P<key>\S+)\s*(?P<sense>>=|<=)\s*"
    rf"(?:(?P<relative>base|best_expert)\s*(?:(?P<sign>[+-])\s*(?P<shift>{_NUMBER}))?|(?P<bound>{_NUMBER}))$"
)
_RANGE = re.compile(rf"^(?P<score>.+?)\s+from\s+(?P<low>{_NUMBER})\s+to\s+(?P<high>{_NUMBER})$")


def read_objectives(texts: Sequence[str], metrics: Mapping[str, bool]) -> tuple[Objective, ...]:
    """Reads objectives.

    Args:
        texts: What the user wrote.
        metrics: Known metric keys, and whether higher is better.

    Raises:
        InputError: Naming every objective that cannot be read, with the metric that was probably meant.
    """
    problems: list[str] = []
    texts = _separated(texts, metrics)
    objectives = [_objective(text, metrics, problems) for text in texts]
    labels = [" ".join(text.split()) for text in texts]
    problems += [f"objective {label!r} is given twice" for label in sorted({x for x in labels if labels.count(x) > 1})]
    if problems:
        raise InputError(problems)
    return tuple(objective for objective in objectives if objective is not None)


def read_measures(texts: Sequence[str], metrics: Mapping[str, bool]) -> tuple[Measure, ...]:
    """Reads measures.

    Args:
        texts: What the user wrote.
        metrics: Known metric keys, and whether higher is better.

    Raises:
        InputError: Naming every measure that cannot be read.
    """
    problems: list[str] = []
    found: list[Measure] = []
    for text in _separated(texts, metrics):
        match = _RANGE.match(" ".join(str(text).split()))
        ends = (float(match["low"]), float(match["high"])) if match else (None, None)
        score = _objective(match["score"] if match else text, metrics, problems, "measure")
        if match and not (math.isfinite(float(match["low"])) and float(match["low"]) < float(match["high"]) < math.inf):
            problems.append(f"measure {text!r}: expected a range from less to more, as in 't1.acc from 0 to 0.75'")
        if score is not None:
            found.append(Measure(score.label, score.terms, *ends))
    terms = [measure.terms for measure in found]
    twice = dict.fromkeys(measure.label for measure in found if terms.count(measure.terms) > 1)
    problems += [f"measure {label!r} is given twice" for label in twice]
    if problems:
        raise InputError(problems)
    return tuple(found)


def read_constraints(texts: Sequence[str], metrics: Mapping[str, bool]) -> tuple[Constraint, ...]:
    """Reads constraints; a key ``all.METRIC`` stands for that metric of every task that has it.

    Args:
        texts: What the user wrote.
        metrics: Known metric keys, and whether higher is better.

    Raises:
        InputError: Naming every constraint that cannot be read.
    """
    problems: list[str] = []
    found: list[Constraint] = []
    for text in _separated(texts, metrics):
        match = _CONSTRAINT.match(str(text).strip())
        if match is None:
            problems.append(
                f"constraint {text!r} cannot be read; write for example 't1.acc >= 0.5', 't1.acc >= base - 0.01' "
                "or 'all.acc >= best_expert - 0.01'"
            )
            continue
        if match["relative"]:
            shift = float((match["sign"] or "+") + "1") * float(match["shift"] or 0.0)
        else:
            shift = float(match["bound"])
        if not math.isfinite(shift):
            problems.append(f"constraint {text!r}: {match['shift'] or match['bound']} is too large for a number")
            continue
        for key in _expand(match["key"], metrics, f"constraint {text!r}", problems):
            label = f"{key} {match['sense']} {text.split(match['sense'], 1)[1].strip()}"
            found.append(Constraint(label, key, match["sense"], shift, match["relative"]))
    if problems:
        raise InputError(problems)
    return tuple(found)


def safety_constraints(safety: Mapping[str, float], metrics: Mapping[str, bool]) -> list[str]:
    """The constraints that a preset of safety stands for: no task may score worse than the base by more than so much.

    Args:
        safety: Task, or metric key, to the points (hundredths of a score) that it may lose.
        metrics: Known metric keys, and whether higher is better.

    Returns:
        Constraints in the grammar of :func:`read_constraints`.

    Raises:
        InputError: Naming every task that there is not, or whose metric must be named.
    """
    problems: list[str] = []
    found: list[str] = []
    for name, points in safety.items():
        key = _safety_key(name, metrics, problems)
        if key is not None:
            sense, sign = (">=", "-") if metrics[key] else ("<=", "+")
            found.append(f"{key} {sense} base {sign} {points / 100.0:.12g}")
    if problems:
        raise InputError(problems)
    return found


def _safety_key(name: str, metrics: Mapping[str, bool], problems: list[str]) -> str | None:
    own = [key for key in metrics if key.rpartition(".")[0] == name]
    if not own and name.rpartition(".")[0]:
        return resolve_key(name, metrics, "safety", problems)
    tasks = sorted({key.rpartition(".")[0] for key in metrics})
    if not own:
        problems.append(
            f"safety: there is no task {name!r} in this run{suggest(name, tasks)} (tasks: {', '.join(tasks)}); "
            "what may not be lost is asked of every candidate, so add it to tasks"
        )
        return None
    chosen = default_objectives(metrics, [name])[0]
    if is_share(chosen):
        return chosen
    shown = ", ".join(sorted(map(_metric, own)))
    problems.append(
        f"safety: {name} has no accuracy, of which points can be lost; name its metric, {name}.METRIC ({shown})"
    )
    return None


def is_share(key: str) -> bool:
    """Whether a metric is known to be a share of right answers, from 0 to 1."""
    return _metric(key).split(",")[0] in _SHARES


def default_objectives(metrics: Mapping[str, bool], tasks: Iterable[str]) -> list[str]:
    """One objective per task when the user named none: its accuracy or exact match, else its first metric."""
    chosen = []
    for task in tasks:
        own = [key for key in metrics if key.rpartition(".")[0] == task]
        favourite = [key for name in _SHARES for key in own if _metric(key).split(",")[0] == name]
        chosen += (favourite or own)[:1]
    return chosen


def resolve_key(key: str, metrics: Mapping[str, bool], where: str, problems: list[str]) -> str | None:
    """Finds a metric key; the filter after the comma may be left out where only one filter has the metric."""
    if key in metrics:
        return key
    filtered = [known for known in metrics if known.split(",")[0] == key]
    if len(filtered) == 1:
        return filtered[0]
    if filtered:
        problems.append(f"{where}: {key!r} has several filters; name one of {', '.join(sorted(filtered))}")
        return None
    task, _, metric = key.rpartition(".")
    tasks = sorted({known.rpartition(".")[0] for known in metrics})
    if not task:
        problems.append(
            f"{where}: {key!r} names no task; write TASK.METRIC, for example {next(iter(metrics), 't.acc')!r}"
        )
    elif task not in tasks:
        problems.append(
            f"{where}: there is no task {task!r} in this run{suggest(task, tasks)} (tasks: {', '.join(tasks)})"
        )
    else:
        own = sorted(_metric(known) for known in metrics if known.rpartition(".")[0] == task)
        problems.append(
            f"{where}: task {task!r} has no metric {metric!r}{suggest(metric, own)} (it has {', '.join(own)})"
        )
    return None


def _separated(texts: Sequence[str], metrics: Mapping[str, bool]) -> list[str]:
    """Takes texts apart that a comma joined although a key ends before it and none goes on after it."""
    found: list[str] = []
    for text in map(str, texts):
        first, *rest = text.split(",")
        found.append(first)
        for part in rest:
            key = re.split(r"[\s*+]", found[-1])[-1]
            name = re.split(r"[\s<>+]", part)[0]
            if key in metrics and f"{key},{name}" not in metrics:
                found.append(part.strip())
            else:
                found[-1] += f",{part}"
    return found


def _objective(
    text: str, metrics: Mapping[str, bool], problems: list[str], what: str = "objective"
) -> Objective | None:
    label = " ".join(str(text).split())
    terms: list[tuple[float, str]] = []
    upward: list[bool] = []
    before = len(problems)
    for part in re.split(r"(?<!\d[eE])\+", label):  # the plus of "1e+2" does not add terms
        match = _TERM.match(part.strip())
        if match is None:
            hint = "; to subtract, add a negative weight: KEY + -0.5*KEY" if re.search(r"\s-", part) else ""
            problems.append(f"{what} {text!r}: {part!r} is not a metric key or WEIGHT*KEY{hint}")
            continue
        weight = float(match["weight"]) if match["weight"] else 1.0
        key = resolve_key(match["key"], metrics, f"{what} {text!r}", problems)
        if key is None:
            continue
        if weight == 0:
            problems.append(f"{what} {text!r}: {key} has weight 0; leave it out")
        if not math.isfinite(weight):
            problems.append(f"{what} {text!r}: the weight {match['weight']} is too large for a number")
        terms.append((weight, key))
        upward.append(metrics[key] == (weight > 0))
    if len(problems) > before:
        return None
    if len(set(upward)) > 1:
        senses = ", ".join(f"{key} ({'higher' if metrics[key] else 'lower'} is better)" for _, key in terms)
        problems.append(
            f"{what} {text!r} adds scores that improve in opposite directions: {senses}; "
            "give one of them a negative weight"
        )
        return None
    return Objective(label, tuple(terms), upward[0])


def _expand(key: str, metrics: Mapping[str, bool], where: str, problems: list[str]) -> list[str]:
    task, _, metric = key.rpartition(".")
    if task == "all" and not any(known.startswith("all.") for known in metrics):
        matching = [known for known in metrics if metric in (_metric(known), _metric(known).split(",")[0])]
        if not matching:
            known = sorted({_metric(k) for k in metrics})
            problems.append(
                f"{where}: no task has a metric {metric!r}{suggest(metric, known)} (known: {', '.join(known)})"
            )
        return matching
    found = resolve_key(key, metrics, where, problems)
    return [found] if found else []


def _metric(key: str) -> str:
    return key.rpartition(".")[2]

"""The page that an audit prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from evomerge.analysis.strata import CONFIDENCE
from evomerge.report.audit.judgement import HIGHER, LOWER, SAME, TRUNCATED, Audit, Versus
from evomerge.report.wording import NBSP, PERCENT, count, drop, gap, number, whole

_WIDTH = 100
_SPACES = {ord(NBSP): " ", ord("\N{NARROW NO-BREAK SPACE}"): " "}  # which terminals show in many ways
_LETTERS = "abcdefghijklmnopqrstuvwxyz"  # as many as there are keys to compare with


def as_text(audit: Audit) -> list[str]:
    """The page, line by line."""
    versus = zip(audit.versus, _LETTERS[1:], strict=False)
    compared = [line for one, letter in versus for line in _versus(audit, one, letter)]
    lines = [*_head(audit), *compared, *_warnings(audit), *_how(audit)]
    return [line.translate(_SPACES) for line in lines]


def _head(audit: Audit) -> Iterator[str]:
    tasks = f" of {', '.join(audit.tasks)}" if audit.tasks else ""
    clusters = f" in {count(audit.clusters, 'cluster')} ({audit.cluster})" if audit.clusters < audit.items else ""
    if audit.clusters < audit.items and not audit.cluster:
        clusters = f", {audit.clusters} of them different"
    yield f"{audit.metric}{tasks}, on {count(audit.items, 'item')}{clusters} that all models answered"
    yield ""
    width = max(len(name) for name, _ in audit.scores)
    for letter, (name, score) in zip(_LETTERS, audit.scores, strict=False):
        yield f"  {letter}  {name:{width}}  {whole(score, audit.unit)}"
    yield ""


def _versus(audit: Audit, versus: Versus, letter: str) -> Iterator[str]:
    unit = audit.unit
    yield f"a minus {letter}: {gap(versus.plain, unit)}, standard error {number(versus.plain.se, unit == PERCENT)}"
    if audit.confidence > CONFIDENCE:
        yield f"  corrected for {_trials(audit)}: {gap(versus.difference, unit)}"
    if versus.counts is not None:
        both, first, other, neither = versus.counts
        yield f"  solved by both {both}, by a alone {first}, by {letter} alone {other}, by neither {neither}"
    if versus.p is not None:
        yield f"  p = {versus.p:.2g}{' after the correction' if audit.confidence > CONFIDENCE else ''}"
    yield from _wrapped(f"  {_verdict(audit, versus, letter)}")
    yield ""


def _trials(audit: Audit) -> str:
    parts = [f"the best of {audit.tried} models"] * (audit.tried > 1)
    parts += [f"{len(audit.versus)} comparisons"] * (len(audit.versus) > 1)
    return " and ".join(parts)


def _verdict(audit: Audit, versus: Versus, letter: str) -> str:
    if versus.verdict == HIGHER:
        return f"VERDICT: a scores higher than {letter}; the claim holds on items like these."
    if versus.verdict == LOWER:
        return f"VERDICT: a scores lower than {letter}."
    if versus.verdict == TRUNCATED:
        return "VERDICT: none, since the models' answers were cut unequally often; see the warnings."
    if versus.verdict == SAME:
        luck = (
            f" The best of {audit.tried} models as good as {letter} would lead by about "
            f"{drop(audit.luck, audit.unit, signed=False)} by luck."
            if audit.luck > 0.0
            else ""
        )
        return f"VERDICT: a and {letter} cannot be told apart on these items; the claim is open.{luck}"
    return "VERDICT: none; the items cannot judge: there is one alone, or all differ by the same."


def _warnings(audit: Audit) -> Iterator[str]:
    if audit.warnings:
        yield "Before you believe it"
        for warning in audit.warnings:
            yield from _wrapped(f"  - {warning}", "    ")
        yield ""


def _how(audit: Audit) -> Iterator[str]:
    counted = "whole clusters" if audit.clusters < audit.items else "items"
    yield from _wrapped(
        f"Differences are paired by item; intervals are 95 %, count {counted}, and are score intervals for right and "
        "wrong answers (Tango 1998), Student's t for other values. Corrected ones hold together at 95 % for all that "
        "was tried (Bonferroni)."
    )


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)

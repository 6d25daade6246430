"""How candidates were scored where not all were asked every search item, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evomerge.report.results import Results
from evomerge.report.wording import count
from evomerge.store import ProxyUse, newly_asked, proxies

__all__ = ["scoring"]


def scoring(results: Results) -> list[str]:
    """Sentences on the choice, its cost, and the fate of a proxy; empty where everyone was asked everything."""
    found = []
    if results.estimates:
        uses = proxies(results.store).items()
        found = [_chosen(results), _cost(results, "search"), *(_use(key, use) for key, use in uses)]
    if any(evaluation.ask.rung for evaluation in results.store.evaluations("selection")):
        found += [
            "Selection items were shared out by OCBA, most to who might be the best.",
            _cost(results, "selection"),
        ]
    return found


def _chosen(results: Results) -> str:
    found = results.store.manifest.get("allocation")
    parts = list(_parts(found)) if isinstance(found, Mapping) else []
    how = f": {', '.join(parts)}" if parts else ""
    total, candidates, pool = _asked(results, "search")
    if total == candidates * pool:  # a race that nobody could be dropped from, windows that have grown
        return f"All candidates have come to be asked every search item{how}."
    return f"Candidates were not all asked every search item{how}."


def _parts(settings: Mapping[str, object]) -> Iterator[str]:
    """The settings that differ from asking everyone everything."""
    if settings.get("items") is not None:
        grows = ", more as they got alike" if settings.get("growth") == "converging" else ""
        yield f"policy {settings.get('policy')} with {settings['items']} items of a task for a batch{grows}"
    if settings.get("race") not in (None, "none"):
        yield f"race {settings['race']}"
    yield f"estimator {settings.get('estimator', 'mean')}"
    if settings.get("proxy") is not None:
        yield f"proxy {settings['proxy']}"


def _asked(results: Results, split: str) -> tuple[int, int, int]:
    """How many items candidates were asked in all, how many candidates there are, and how many items."""
    store = results.store
    evaluations = store.evaluations(split)
    named = {e.digest for e in evaluations if e.name is not None}
    own = [e for e in evaluations if e.digest not in named and not e.recommended]
    pool = max((e.items for e in evaluations), default=0)
    return sum(newly_asked(store, e) for e in own), len({e.digest for e in own}), pool


def _cost(results: Results, split: str) -> str:
    total, candidates, pool = _asked(results, split)
    return (
        f"A candidate was asked {total / max(candidates, 1):.1f} of {count(pool, f'{split} item')} on average, "
        f"{count(total, 'item')} in all."
    )


def _use(key: str, use: ProxyUse) -> str:
    """The fate of a proxy, and its reason."""
    if use.tau is None:
        return (
            f"{use.proxy} did not rank as {key}: {count(use.candidates, 'candidate')} had answered enough to compare "
            "the two, which is too few."
        )
    agreed = f"Kendall's tau of the two is {use.tau:.2f} over {count(use.candidates, 'candidate')}"
    if use.share == 0.0:
        return f"{use.proxy} did not rank as {key}: {agreed}, below {use.needed:g}."
    return f"{use.proxy} ranked {'in the place of' if use.share == 1.0 else 'beside'} {key}: {agreed}."

"""Item banks and the published estimators, against formulas written out item by item."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evomerge.analysis.estimators import Answers, estimate
from evomerge.analysis.estimators._shared import latent
from evomerge.analysis.estimators._shared.item_bank import Bank, fit_bank, logistic_map, threshold, validated

NAN = math.nan
ROWS, ITEMS, KNOWN, SEEN = 12, 24, 10, (1, 4, 5, 9, 13, 17, 20, 22)


@pytest.fixture
def answers() -> Answers:
    """Ten complete rows, of which two are experts, and two that were asked eight items."""
    draws = np.random.default_rng(3)
    linear = draws.normal(size=(ROWS, 1)) * draws.uniform(0.5, 1.5, ITEMS) - draws.normal(size=ITEMS)
    values = (draws.random((ROWS, ITEMS)) < 1 / (1 + np.exp(-linear))).astype(float)
    values[KNOWN:, np.setdiff1d(np.arange(ITEMS), SEEN)] = NAN
    return Answers(values, experts=(0, 1))


def chance(a: float, b: float, theta: float) -> float:
    return 1.0 / (1.0 + math.exp(-(a * theta - b)))


def log_likelihood(bank: Bank, row: np.ndarray, items: tuple[int, ...], theta: float) -> float:
    total = 0.0
    for item in items:
        linear = float(bank.discrimination[item, 0]) * theta - float(bank.difficulty[item])
        total -= math.log1p(math.exp(-linear if row[item] == 1.0 else linear))
    return total


def best(score, low: float, high: float) -> float:  # noqa: ANN001
    """The argument of the maximum of a function with one, by thirds."""
    while high - low > 1e-10:
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if score(left) < score(right) else (low, right)
    return (low + high) / 2


def ability(bank: Bank, row: np.ndarray, items: tuple[int, ...]) -> float:
    """Maximum of the likelihood and of the weak prior, of precision a hundredth."""
    return best(lambda theta: log_likelihood(bank, row, items, theta) - 0.005 * theta**2, -30.0, 30.0)


def unseen_curve(bank: Bank, theta: float) -> float:
    others = [item for item in range(ITEMS) if item not in SEEN]
    curve = [chance(float(bank.discrimination[i, 0]), float(bank.difficulty[i]), theta) for i in others]
    return sum(curve) / len(curve)


def test_p_irt_is_the_published_formula(answers: Answers) -> None:
    bank = fit_bank(answers.values[:KNOWN], 1)
    found = estimate("p_irt", answers, [10, 11], dimensions=1)
    for place, row in enumerate(answers.values[KNOWN:]):
        theta = ability(bank, row, SEEN)
        data = sum(row[i] for i in SEEN) / len(SEEN)
        share = len(SEEN) / ITEMS
        assert found.value[place] == pytest.approx(share * data + (1 - share) * unseen_curve(bank, theta), abs=1e-7)


def test_gp_irt_is_the_published_formula(answers: Answers) -> None:
    """Rows 0 and 5 are held out, even items are seen and odd ones predicted; v is the variance of an answer."""
    known = answers.values[:KNOWN]
    train = fit_bank(known[[1, 2, 3, 4, 6, 7, 8, 9]], 1)
    errors = []
    for row in known[[0, 5]]:
        theta = ability(train, row, tuple(range(0, ITEMS, 2)))
        odd = range(1, ITEMS, 2)
        curve = [chance(float(train.discrimination[i, 0]), float(train.difficulty[i]), theta) for i in odd]
        errors.append(abs(sum(curve) / len(curve) - row[1::2].mean()))
    b = sum(errors) / 2
    v = sum(row.mean() * (1 - row.mean()) for row in known) / KNOWN
    for anchors, per_item in ((False, 1), (True, 4)):
        delta = b**2 / (v / (per_item * len(SEEN)) + b**2)
        mixed = estimate("gp_irt", answers, [10], dimensions=1, anchors=anchors).value[0]
        p_irt = estimate("p_irt", answers, [10], dimensions=1).value[0]
        mean = answers.values[10][list(SEEN)].mean()
        assert 0.0 < delta < 1.0
        assert mixed == pytest.approx(delta * mean + (1 - delta) * p_irt, abs=1e-7)


def test_mp_irt_is_the_formula_of_its_authors(answers: Answers) -> None:
    """The ability is a combination of the experts', whose weights start at a half and fit the answers."""
    bank = fit_bank(answers.values[:KNOWN], 1)
    experts = [ability(bank, row, tuple(range(ITEMS))) for row in answers.values[:2]]
    row = answers.values[10]
    share, mean = len(SEEN) / ITEMS, row[list(SEEN)].mean()

    # With one dimension only the combined ability matters; the prior on the weights draws both alike.
    def score(move: float) -> float:
        weights = [0.5 + move * experts[0], 0.5 + move * experts[1]]
        theta = sum(w * t for w, t in zip(weights, experts, strict=True))
        return log_likelihood(bank, row, SEEN, theta) - 0.005 * sum((w - 0.5) ** 2 for w in weights)

    move = best(score, -5.0, 5.0)
    theta = sum((0.5 + move * t) * t for t in experts)
    wanted = share * mean + (1 - share) * unseen_curve(bank, theta)
    assert estimate("mp_irt", answers, [10], dimensions=1).value[0] == pytest.approx(wanted, abs=1e-6)
    both = estimate("gmp_irt", answers, [10], dimensions=1).value[0]
    assert both == pytest.approx(0.5 * mean + 0.5 * wanted, abs=1e-6)


def test_mp_irt_of_one_expert_is_that_experts_curve(answers: Answers) -> None:
    alone = Answers(answers.values, experts=(3,))
    bank = fit_bank(answers.values[:KNOWN], 1)
    theta = ability(bank, answers.values[3], tuple(range(ITEMS)))
    share, mean = len(SEEN) / ITEMS, answers.values[10][list(SEEN)].mean()
    wanted = share * mean + (1 - share) * unseen_curve(bank, theta)
    assert estimate("mp_irt", alone, [10], dimensions=1).value[0] == pytest.approx(wanted, abs=1e-7)


def test_two_rows_are_no_bank(answers: Answers) -> None:
    few = Answers(answers.values[[0, 1, 10]], experts=(0, 1))
    for name in ("p_irt", "gp_irt", "mp_irt", "gmp_irt"):
        assert estimate(name, few, [2]).value[0] == answers.values[10][list(SEEN)].mean()


def posterior(values: np.ndarray, fitted: latent.Latent) -> float:
    """The logarithm of the posterior of a logistic fit, term by term."""
    total = 0.0
    for row, theta in zip(values, fitted.ability, strict=True):
        total -= 0.5 * float(theta @ theta)
        for answer, a, b in zip(row, fitted.discrimination, fitted.difficulty, strict=True):
            if not math.isnan(answer):
                p = 1.0 / (1.0 + math.exp(-(float(a @ theta) - b)))
                total += math.log(p if answer == 1.0 else 1.0 - p)
    first = np.eye(fitted.ability.shape[1])[0]
    return total - 0.5 * float(((fitted.discrimination - first) ** 2).sum()) - float((fitted.difficulty**2).sum()) / 8


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_fit_is_a_maximum_of_the_posterior(answers: Answers, dimensions: int) -> None:
    """No parameter moved by a hundredth, either way, makes it larger, but for what was left when the steps ended."""
    values = answers.values.copy()
    values[:, 3], values[:, 7] = 1.0, 0.0
    fitted = latent.fit(values, dimensions)
    top = posterior(values, fitted)
    for array in (fitted.ability, fitted.discrimination, fitted.difficulty):
        for place in range(0, array.size, 5):
            for move in (-0.03, 0.03):
                array.flat[place] += move
                assert posterior(values, fitted) < top + 2e-4
                array.flat[place] -= move


def test_a_fit_finds_what_made_the_answers() -> None:
    draws = np.random.default_rng(0)
    theta, b = draws.normal(size=200), draws.normal(size=40)
    a = draws.uniform(0.5, 2.0, 40)
    values = (draws.random((200, 40)) < 1 / (1 + np.exp(b - theta[:, None] * a))).astype(float)
    fitted = latent.fit(values, 1)
    assert np.corrcoef(fitted.ability[:, 0], theta)[0, 1] > 0.9
    assert np.corrcoef(fitted.difficulty, b)[0, 1] > 0.97
    assert np.corrcoef(fitted.discrimination[:, 0], a)[0, 1] > 0.7


def test_other_values_have_normal_noise() -> None:
    """Two directions of a table of real values are found, and its gaps filled far better than by items' means."""
    draws = np.random.default_rng(1)
    values = draws.normal(size=(40, 2)) @ draws.normal(size=(2, 30)) + 0.1 * draws.normal(size=(40, 30))
    values = (values - values.mean()) / values.std()
    gaps = draws.random(values.shape) < 0.3
    fitted = latent.fit(np.where(gaps, NAN, values), 2, binary=False)
    assert np.abs(fitted.predicted() - values)[gaps].mean() < 0.25 * np.abs(values)[gaps].mean()


def test_all_right_and_all_wrong_have_abilities() -> None:
    bank = Bank(np.ones((5, 1)), np.linspace(-1.0, 1.0, 5))
    seen = np.arange(5)
    high, low = bank.ability(np.array([[1.0] * 5, [0.0] * 5]), seen)[:, 0]
    assert 3.0 < high < 12.0
    assert high == pytest.approx(-low, abs=1e-9)


def test_logistic_map_solves_its_equation() -> None:
    """The gradient of the penalised likelihood is zero there."""
    draws = np.random.default_rng(2)
    inputs, offset = 3.0 * draws.normal(size=(9, 2)), draws.normal(size=9)
    responses, mean = (draws.random((20, 9)) < 0.5).astype(float), np.array([0.5, 0.5])
    found = logistic_map(inputs, offset, responses, mean)
    p = 1 / (1 + np.exp(-(found @ inputs.T - offset)))
    assert np.abs((responses - p) @ inputs - 0.01 * (found - mean)).max() < 1e-6


def test_threshold_keeps_the_means() -> None:
    """Means 0.5 and 0.75: only values above a threshold between 0.4 and 0.6 are that often right."""
    values = np.array([[0.1, 0.4, 0.6, 0.9], [0.6, 0.9, 0.9, 0.4]])
    values[0] *= 0.5 / values[0].mean()
    cut = threshold(values)
    assert 0.4 <= cut < 0.6
    assert ((values > cut).mean(axis=1) == [0.5, 0.75]).all()


def test_dimensions_are_as_few_as_do() -> None:
    """Answers that one ability makes are given one dimension."""
    draws = np.random.default_rng(4)
    values = (draws.random((30, 40)) < 1 / (1 + np.exp(-2 * draws.normal(size=(30, 1))))).astype(float)
    assert validated(values, values, (1, 3))[0] == 1

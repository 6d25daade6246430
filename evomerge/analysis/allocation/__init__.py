"""Where answers are worth asking for: samples of items, items that tell models apart, races, shares of a budget.

- :mod:`~evomerge.analysis.allocation.sampling`: samples with known inclusion probabilities.
- :mod:`~evomerge.analysis.allocation.item_choice`: spread, disagreement, subsets that rank as all items do.
- :mod:`~evomerge.analysis.allocation.racing`: who can still be among the best.
- :mod:`~evomerge.analysis.allocation.proxy`: the use of a smooth metric that its agreement allows.
- :mod:`~evomerge.analysis.allocation.ocba`: shares of a budget for finalists.
- :mod:`~evomerge.analysis.allocation.shrinkage`: posterior means of estimates of different precision.
"""

"""Rounds of a search: what was best in those so far is merged in the next one, so the search leaves the experts' hull.

EvoGM (arXiv:2605.29295) lets elite merges serve as the experts of its next round. How many candidates a round has,
which elites are taken, and that they are recipes whose records go on in the same run, is ours. A round has a number of
candidates that belongs to the run's identity, but the last one, which takes what the budget leaves: so a larger budget
later goes on as if it had been there from the start.
"""

"""Interference between the deltas of a linear layer, and merged deltas that minimise it (the WUDI family).

A delta's rows span the inputs that its fine-tuning saw. The interference of a merged delta ``t`` with the expert ``i``
is how far ``t`` differs from the expert's delta ``t_i`` there, ``|(t - t_i) t_i^T|^2 / |t_i|^2``. The sum over experts
is a quadratic of ``t``, with the gradient ``2 (t C - D)``.

- :mod:`.objective`: ``C`` and ``D``, within the space that the deltas' rows span.
- :mod:`.descent`: optimisers, step by step or in closed form; options that all optimised methods share.
- :mod:`.memory`: what all this takes while a matrix is prepared.
- :mod:`.spectrum`: the spectrum of ``C``, and merged deltas that are filtered by it.
- :mod:`.descending`, :mod:`.closed_form`: declarations of the methods on either.
"""

"""Sparsity masks of deltas: top-k (TIES), at random (DARE), by rank at random (DELLA), medium (breadcrumbs).

Also what they need to know of whole models: order statistics, and the sign that most elements elect.
"""

"""Sparsity masks of deltas: top-k (TIES), at random (DARE), by rank at random (DELLA), medium (breadcrumbs)."""

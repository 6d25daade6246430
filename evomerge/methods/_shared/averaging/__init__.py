"""Weighted sums of the models themselves, and what weighs them by what goes into them: linear regression."""

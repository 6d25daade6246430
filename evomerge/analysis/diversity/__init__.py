"""Diversity: archives of elites over a grid of measures, and models that compete for items."""

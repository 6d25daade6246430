"""The recipes of a search: its space, the recipe that it may start from, and the baselines it is compared with."""

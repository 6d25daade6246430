"""Archives of elites: their facts and their picture."""

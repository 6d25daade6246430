"""Parts of searchers that keep archives of elites."""

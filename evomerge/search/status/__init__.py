"""The traces of a search for those who watch it from outside: its state, its events, its wall time."""

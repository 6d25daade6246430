"""A look at runs from outside: how far they are, who is at what, and what has failed."""

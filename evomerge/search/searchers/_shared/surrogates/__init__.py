"""Models of how good genomes are, for searchers that propose where one promises most."""

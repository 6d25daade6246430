"""Genes of a model's layers: fewer of them (`fusion`), or a path through those of several models (`path`, `walks`)."""

"""From words, or Python values, to a checked configuration: the only room that knows Hydra and omegaconf.

The settings of all rooms declare the keys (`schema`); words are read (`parse`), composed with groups and named studies
(`groups`, `compose`), read by kind (`kinds`, `value_types`) and checked as a whole (`checks`, `validate`). `help` makes
the pages of ``--help`` from the same declarations, `sweep` and `multirun` the jobs of a sweep.
"""

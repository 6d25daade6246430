"""From words, or Python values, to a checked configuration: the only room that knows Hydra and omegaconf.

The settings of all rooms declare the keys (`schema`). Words are read (`parse`), composed with groups and named studies
(`groups`, `compose`), read by kind (`kinds`, `value_types`, `yaml_values`) and checked as a whole (`checks`,
`validate`). The pages of ``--help`` (`help`) follow from the same declarations; `sweep` and `multirun` make sweeps.
"""

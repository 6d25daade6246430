"""The embedded example: a family of tiny decoders whose skills live in two made-up languages.

Modules, in the order in which a build uses them:

* `skills`: the two languages, the skills, and what is kept aside for evaluation.
* `vocabulary`: the word-level tokenizer.
* `training`: initialisation and the training loop of one model.
* `recipe`: who learns what, for how long.
* `tasks`: the lm-eval tasks.
* `family`: one family folder from one seed.
"""

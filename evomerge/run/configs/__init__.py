"""Configurations of the verbs beside ``search``, whose own is in :mod:`evomerge.run.run_config`."""

"""Checks of the verbs beside ``search`` whose configurations are made of more than single values."""

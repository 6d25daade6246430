"""Mixtures of experts as model folders: built of dense models, and condensed to fewer experts."""

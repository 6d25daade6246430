"""Transformations of models, as the verb ``transform`` runs them."""

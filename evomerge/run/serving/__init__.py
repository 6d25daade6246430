"""Candidates as they will be served: how far the order of quantised ones is that of unquantised ones."""

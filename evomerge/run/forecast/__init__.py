"""Forecasts of what a search takes: memory and disk from headers, seconds from a measured pass."""

"""Shared parts of estimators."""

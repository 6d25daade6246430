"""Which inputs of scored points their scores hang on, as far as a model that predicts held-out points can tell."""

from evomerge.analysis.importance.permuted import Importance, Share, importance, importances

__all__ = ["Importance", "Share", "importance", "importances"]

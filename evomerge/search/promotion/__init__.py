"""The stages that follow a search: last asks on its items, a shortlist on fresh ones, finalists on the test split."""

from evomerge.search.promotion.stages import Promotion

__all__ = ["Promotion"]

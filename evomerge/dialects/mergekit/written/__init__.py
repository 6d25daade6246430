"""From a recipe to mergekit's YAML: a document for each recipe (:mod:`.document`), and its parts."""

from evomerge.dialects.mergekit.written.document import written

__all__ = ["written"]

"""Parts that searchers share."""

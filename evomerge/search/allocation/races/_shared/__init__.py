"""Parts that races share."""

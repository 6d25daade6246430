"""Parts that executors share."""

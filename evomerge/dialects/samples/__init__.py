"""Per-item files that other tools write: lm-eval's logged samples and Inspect's logs."""

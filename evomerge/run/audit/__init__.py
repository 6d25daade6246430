"""An audit of somebody's claim that one model beats another, from their per-item files."""

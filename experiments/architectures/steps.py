"""The steps that each architecture goes through, in their order; the page says what they mean."""

STEPS = ("built", "merged", "loaded", "searched", "exported", "reloaded")

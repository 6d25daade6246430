"""Statistics of a search: their texts, which ones its method and steps read, and collecting them.

- :mod:`.texts`: calibration texts, the user's or the search items with their right answers.
- :mod:`.required`: the statistics that candidates read, in the order of their recipes' keys.
- :mod:`.collecting`: what is missing is collected before the first candidate.
- :mod:`.forecast`: bytes, passes and seconds of that, for ``evomerge check``.
"""

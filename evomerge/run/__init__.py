"""From a checked configuration to a search, a merge, an evaluation or an export; parses no words.

`assemble` opens and checks everything, `recipes` makes the search space and the baselines, `runtime` settles how models
run, `identity` and `manifest` say what the run is, `search` runs it. `members` finds what is to be exported, `export`
builds its folder with a model `card`, and `verification` proves that the folder answers as the candidate did.
"""

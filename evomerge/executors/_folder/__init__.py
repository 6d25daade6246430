"""Parts of the executor ``folder``: the folder that driver and workers meet in, and a worker's side of it.

Everything is done with whole files: created exclusively, linked, renamed, removed and given a new time, which network
file systems do as one step; nothing is locked. `work` says what lies where.
"""

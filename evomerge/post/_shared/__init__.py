"""The parts that steps after the merge share."""

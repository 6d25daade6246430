"""The parts of the contract of searchers."""

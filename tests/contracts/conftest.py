"""Assertions of the contract suites say what they compared."""

import pytest

pytest.register_assert_rewrite("evomerge.contracts")

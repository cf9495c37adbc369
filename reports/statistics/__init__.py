"""Points, intervals and tests of score matrices, as pure functions."""

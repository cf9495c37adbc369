"""Algorithms by name."""

import pytest

from ppo_lab.errors import ArgumentError
from ppo_lab.registry import closest, known_algorithm


def test_a_mistyped_algorithm_is_told_the_names_that_look_like_it_alone() -> None:
    with pytest.raises(ArgumentError, match=r"^unknown algorithm 'spec_pp'; closest: spec_ppo$"):
        known_algorithm("spec_pp")


def test_where_no_name_looks_like_it_all_are_told() -> None:
    assert closest("zzz", ["b", "a"]) == "a, b"

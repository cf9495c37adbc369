"""Algorithms by name."""

import pytest

from ppo_lab.errors import ArgumentError
from ppo_lab.registry import closest, known_algorithm, named_algorithm


def test_a_mistyped_algorithm_is_told_the_names_that_look_like_it_alone() -> None:
    with pytest.raises(ArgumentError, match=r"^unknown algorithm 'spec_pp'; closest: spec_ppo$"):
        known_algorithm("spec_pp")


def test_where_no_name_looks_like_it_all_are_told() -> None:
    assert closest("zzz", ["b", "a"]) == "a, b"


@pytest.mark.parametrize(
    ("word", "name"),
    [("PPO", "ppo"), ("spec-ppo", "spec_ppo"), ("SpecPPO", "spec_ppo"),
     ("Q-Learning", "q_learning"), ("RecurrentPPO", "ppo_lstm"), ("maskableppo", "ppo_mask"),
     ("optimal", "optimal")],
)  # fmt: skip
def test_an_algorithm_is_known_by_its_name_or_its_class_in_any_letters(
    word: str, name: str
) -> None:
    assert named_algorithm(word) == name


def test_a_word_that_is_no_algorithm_is_refused_with_those_that_are_like_it() -> None:
    with pytest.raises(ArgumentError, match="unknown algorithm 'PP0'; closest: ppo"):
        named_algorithm("PP0")

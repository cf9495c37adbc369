"""Whole numbers in the ways that people write them."""

import pytest

from ppo_lab.hyperparams.numbers import whole_number, with_whole_numbers


@pytest.mark.parametrize(
    ("written", "number"),
    [("1e5", 100_000), ("1_000", 1000), ("1.5e3", 1500), (2e4, 20_000), (7, 7), (" 12 ", 12),
     ("-1", -1), ("1E6", 1_000_000), ("123456789012345678", 123456789012345678)],
)  # fmt: skip
def test_a_whole_number_is_read_however_it_is_written(written: object, number: int) -> None:
    assert whole_number(written) == number


@pytest.mark.parametrize("written", ["1.5", 1.5, "1e400", "nan", "inf", "1,000", "", True, None,
                                     "1e18", [1], "ten"])  # fmt: skip
def test_what_is_no_whole_number_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"no number|too large|no whole number"):
        whole_number(written)


def test_hyperparameters_that_are_whole_numbers_become_so_and_others_stay() -> None:
    given = {"n_steps": "1e3", "batch_size": 64.0, "n_epochs": 2.5, "gamma": 1.0, "n_envs": "x"}
    assert with_whole_numbers(given) == {
        "n_steps": 1000, "batch_size": 64, "n_epochs": 2.5, "gamma": 1.0, "n_envs": "x",
    }  # fmt: skip
    assert type(with_whole_numbers(given)["batch_size"]) is int

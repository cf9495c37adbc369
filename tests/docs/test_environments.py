"""The page of the environments: its numbers are what the program prints, its pictures are there."""

import re

import numpy as np
import pytest

from docs.environment_facts import MARKS, PAGE, exact_numbers, picture, picture_name
from envs.registration import ENVIRONMENTS


def test_the_exact_numbers_are_what_the_program_prints() -> None:
    found = MARKS.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0].removeprefix(found[1]).removesuffix(found[2]) == exact_numbers()


def test_every_environment_has_its_section_and_its_picture() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for env_id in ENVIRONMENTS:
        name = env_id.removeprefix("ppo_lab/").removesuffix("-v0")
        assert re.search(rf"^## (.* and )?{name}( and .*)?$", text, re.MULTILINE), name
        assert f"figures/{picture_name(env_id)}" in text
        assert (PAGE.parent / "figures" / picture_name(env_id)).is_file()


@pytest.mark.parametrize("env_id", ["ppo_lab/CliffGrid-v0", "ppo_lab/Crawler-v0"])
def test_pictures_repeat(env_id: str) -> None:
    once, again = picture(env_id), picture(env_id)
    assert once.dtype == np.uint8
    assert once.std() > 10
    np.testing.assert_array_equal(once, again)

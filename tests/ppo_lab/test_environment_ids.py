"""Environments' ids as users write them."""

from importlib.util import find_spec
from pathlib import Path

import pytest

import ppo_lab  # noqa: F401 - registers the environments
from ppo_lab.environment_ids import full_id
from ppo_lab.errors import ArgumentError


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("CartPole", "CartPole-v1"),  # v0 is registered too
        ("cartpole-V0", "CartPole-v0"),
        ("CartPole-v1", "CartPole-v1"),
        ("ppo_lab/gridworld", "ppo_lab/GridWorld-v0"),
        ("gymnasium:cartpole", "gymnasium:CartPole-v1"),
        ("gymnasium.envs.classic_control:CartPoleEnv",
         "gymnasium.envs.classic_control:CartPoleEnv"),
    ],
)  # fmt: skip
def test_an_id_is_written_out_with_its_newest_version(written: str, full: str) -> None:
    assert full_id(written) == full


@pytest.mark.skipif(find_spec("ale_py") is None, reason="ale_py is missing")
def test_what_a_package_registers_is_found_by_its_name() -> None:
    assert full_id("ale_py:ALE/pong") == "ale_py:ALE/Pong-v5"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("CartPol", "unknown environment 'CartPol'; closest: CartPole-v1"),
        ("CartPole-v7", "unknown environment 'CartPole-v7'; closest: CartPole-v1"),
        ("GridWorld", "closest: ppo_lab/GridWorld-v0"),
        ("mine/X-v0", "nothing that is imported registers mine/…"),
        ("./mine.py", "unknown environment './mine.py'; write ./mine.py:CLASS, with the name"),
        ("ppo_lab.envs.World", "; write ppo_lab.envs:World for a class of that package's"),
        ("nowhere_at_all.World", "nothing that is imported registers the like"),
        ("__main__.World", "'__main__.World'"),
    ],
)
def test_an_id_that_there_is_not_is_refused_with_those_that_are_like_it(
    written: str, said: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        full_id(written)
    assert said in str(caught.value)


def test_a_class_in_a_file_keeps_its_place(tmp_path: Path) -> None:
    assert full_id(f"{tmp_path}/./env.py:World") == f"{tmp_path}/env.py:World"

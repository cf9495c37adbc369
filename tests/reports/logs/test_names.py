"""What names of folders tell, where no log does."""

import pytest

from reports.logs.names import Names, told_by_names


@pytest.mark.parametrize(
    ("parts", "env_id", "told"),
    [
        (["ppo-CartPole-v1"], "CartPole-v1", Names("ppo", "CartPole-v1", None)),
        (["my own-CartPole-v1_2"], "CartPole-v1", Names("my own", "CartPole-v1", None)),
        # The zoo's benchmark has Pendulum-v0 in the log of a folder ppo-Pendulum-v1.
        (["ppo-Pendulum-v1"], "Pendulum-v0", Names("ppo", "Pendulum-v0", None)),
        (["ppo_lstm-CartPoleNoVel-v1"], None, Names("ppo_lstm", "CartPoleNoVel-v1", None)),
        (["ppo-MiniGrid-Empty-5x5-v0"], None, Names("ppo", "MiniGrid-Empty-5x5-v0", None)),
        # The first word of an environment is no algorithm.
        (["ppo", "MiniGrid-Empty-5x5-v0"], None, Names("ppo", "MiniGrid-Empty-5x5-v0", None)),
        (
            ["ppo", "MiniGrid-Empty-v0"],
            "MiniGrid-Empty-v0",
            Names("ppo", "MiniGrid-Empty-v0", None),
        ),
        (["CartPole-v1__dqn__4__1700000000"], None, Names("dqn", "CartPole-v1", 4)),
        (["CartPole-v1__my__exp__4__17"], None, Names("my__exp", "CartPole-v1", 4)),
        (["ppo-CartPole-v1", "seed_3"], "CartPole-v1", Names("ppo", "CartPole-v1", 3)),
        (["CartPole-v1", "PPO_1"], None, Names("PPO", "CartPole-v1", None)),
    ],
)
def test_a_label_and_an_environment_in_one_name_are_told_apart(
    parts: list[str], env_id: str | None, told: Names
) -> None:
    assert told_by_names(parts, env_id) == told

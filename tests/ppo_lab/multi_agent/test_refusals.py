"""What a game may not do, and what may not be asked of one: a sentence each."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent import make_parallel_vec_env
from tests.ppo_lab.multi_agent.games import Scripted

NAN = float("nan")


def stepped(*steps: Any, **how: Any) -> Any:
    env = make_parallel_vec_env(Scripted(steps, **how), training=False)
    env.reset()
    for _ in steps:
        env.step(np.zeros(env.num_envs, int))
    return env


def changing(**to: Any) -> Scripted:
    game = Scripted([("", {"a": 1.0, "b": 1.0}, "ab", "")])
    env = make_parallel_vec_env(game)
    env.reset()
    for name, value in to.items():
        setattr(game, name, value)
    return env.step(np.zeros(2, int))


class OneAfterTheOther(Scripted):
    def agent_iter(self) -> None: ...


class WithoutState(Scripted):
    def state(self) -> Any:
        raise NotImplementedError


def test_a_scripted_game_that_keeps_the_rules_is_taken() -> None:
    stepped(("", {"a": 1.0, "b": 1.0}, "ab", ""))
    changing()


BOTH = {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: stepped(("b", BOTH, "a", ""), ("ab", {"b": 1.0}, "", "")),
            "'a' had left .* came back at step 2",
        ),
        (
            lambda: stepped(("b", BOTH, "a", ""), ("b", {"a": 3.0, "b": 1.0}, "", "")),
            "'a' had left .* was paid 3.0 at step 2",
        ),
        (lambda: stepped(("b", BOTH, "", "")), "'a' is gone .* neither terminated nor truncated"),
        (lambda: stepped(("ab", {"a": 1.0}, "", "")), "no rewards for 'b' at step 1"),
        (lambda: stepped(("ab", {"a": 1.0, "b": NAN}, "", "")), "paid 'b' nan at step 1"),
        (lambda: stepped(("ab", {"a": 1.0, "b": [1, 2]}, "", "")), "expected one finite number"),
        (lambda: stepped(("abc", BOTH, "", "")), "'c' is an agent .* not among its possible"),
        (lambda: stepped(possible="ab", first=""), "began an episode without agents"),
        (lambda: make_parallel_vec_env(Scripted([], possible="")), "no possible_agents"),
        (
            lambda: make_parallel_vec_env(OneAfterTheOther([])),
            r"AEC environment.*parallel_env\(\).*aec_to_parallel",
        ),
        (lambda: make_parallel_vec_env(lambda: object()), r"has no reset\(\)"),
        (lambda: make_parallel_vec_env(3), "expected an id, a pettingzoo.ParallelEnv"),
        (lambda: make_parallel_vec_env(Scripted([]), 0), "n_envs=0: expected"),
        (lambda: make_parallel_vec_env(Scripted([]), critic="both"), "critic='both': expected one"),
        (lambda: make_parallel_vec_env(Scripted([]), size=3), "'size' was given for a game"),
        (
            lambda: make_parallel_vec_env(WithoutState([]), critic="central"),
            r"critic='central' asks .* for its state\(\)",
        ),
        (lambda: make_parallel_vec_env("no_such_game_v9"), "unknown game 'no_such_game_v9'"),
        (lambda: make_parallel_vec_env("gymnasium.spaces"), "has no parallel_env"),
        (lambda: make_parallel_vec_env("os:nothing"), "the module os has no nothing"),
        (lambda: changing(possible_agents=["a"]), "other possible_agents"),
        (lambda: changing(shapes={"a": 3, "b": 2}), "shape|space of 'a' .* changed"),
        (lambda: changing(_seen=lambda agent: np.zeros(3)), r"of shape \(3,\) after step 1"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as error:
        call()
    assert "\n" not in str(error.value)


def test_agents_of_different_spaces_are_sent_to_groups() -> None:
    game = Scripted([])
    game.shapes["b"] = 3
    with pytest.raises(
        ArgumentError, match=r"'a' and 'b' .* different observation spaces.*GroupsPPO"
    ):
        make_parallel_vec_env(game)
    game = Scripted([])
    game.action_space = lambda agent: spaces.Discrete(2 if agent == "a" else 3)  # type: ignore[method-assign]
    with pytest.raises(ArgumentError, match="different action spaces"):
        make_parallel_vec_env(game)


def test_a_state_that_changes_its_shape_is_refused() -> None:
    game = Scripted([("", BOTH, "ab", "")])
    env = make_parallel_vec_env(game, critic="central")
    env.reset()
    game.state = lambda: np.zeros(3)  # type: ignore[method-assign]
    with pytest.raises(ArgumentError, match=r"state of shape \(3,\): expected \(1,\)"):
        env.step(np.zeros(2, int))


def test_what_belongs_to_one_game_is_not_given_to_one_agent() -> None:
    env = make_parallel_vec_env(lambda: Scripted([]), 2)
    with pytest.raises(ArgumentError, match="one for all 2 agents"):
        env.set_attr("note", 1, indices=[0])
    env.set_attr("note", 1, indices=[2, 3])
    assert env.get_attr("note", [2, 3]) == [1, 1]
    assert not hasattr(env.games[0], "note")
    env._options[1] = {"size": 3}
    with pytest.raises(ArgumentError, match="given different options"):
        env.reset()


def test_a_game_of_pettingzoo_is_found_by_its_name() -> None:
    pytest.importorskip("mpe2")
    env = make_parallel_vec_env("pettingzoo:simple_spread_v3", 2, seed=0, N=2, critic="central")
    assert env.num_envs == 4
    assert env.agents == ("agent_0", "agent_1")
    with pytest.raises(ArgumentError, match="different observation spaces"):
        make_parallel_vec_env("simple_adversary_v3")
    pytest.importorskip("pettingzoo")
    with pytest.raises(ArgumentError, match="no parallel form; it has an AEC environment"):
        make_parallel_vec_env("pettingzoo:tictactoe_v3")

"""Compiled games against the same games in Python: to the last bit, or not compiled."""

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch as th

from envs.team_grid import TeamGrid, parallel_env
from ppo_lab import SpecPPO
from ppo_lab.multi_agent import ParallelVecEnv, make_parallel_vec_env
from ppo_lab.multi_agent.compiled_vec_env import CompiledParallelVecEnv
from ppo_lab.vec_env import SampledVecNormalize
from ppo_lab.worlds import mpe

NOISY = {"noise": 0.3, "max_steps": 7, "living_reward": -0.1}
LUCK = {"map": "luck", "observation": "own"}
THREE = {"map": "1+.\n.23\n"}
CENTRAL = {"critic": "central", "agent_indicator": True}


def spread() -> Any:
    return pytest.importorskip("mpe2.simple_spread_v3").parallel_env


def pair(maker: Any, n: int, seed: int | None, how: Any, **game: Any) -> tuple[Any, Any]:
    """The same copies compiled and in Python."""
    ours = make_parallel_vec_env(maker, n, seed, **how, **game)
    assert ours.why_in_python is None
    theirs = ParallelVecEnv([maker(**game) for _ in range(n)], **how)
    theirs.seed(seed)
    return ours, theirs


def assert_same(one: Any, other: Any) -> None:
    """Equal keys, types, shapes and bits; of statistics all but the time."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - {"t"}:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        for pair_of in zip(one, other, strict=True):
            assert_same(*pair_of)
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    else:
        assert type(one) is type(other)
        assert one == other


def some_actions(env: Any, rng: np.random.Generator) -> Any:
    if hasattr(env.action_space, "n"):
        return rng.integers(env.action_space.n, size=env.num_envs)
    return rng.random((env.num_envs, *env.action_space.shape), np.float32)


def assert_same_steps(ours: Any, theirs: Any, n_steps: int, rng: np.random.Generator) -> int:
    ended = 0
    for _ in range(n_steps):
        actions = some_actions(ours, rng)
        step = ours.step(actions)
        assert_same(step, theirs.step(actions))
        assert_same(ours.reset_infos, theirs.reset_infos)
        ended += int(step[2].sum())
    return ended


def assert_same_games(maker: Any, how: Any, game: Any, seeds: int, n_steps: int) -> None:
    for seed in range(seeds):
        ours, theirs = pair(maker, 3, 10 * seed, how, **game)
        rng = np.random.default_rng(seed)
        for _ in range(2):  # the second time without a seed: random numbers go on
            assert_same(ours.reset(), theirs.reset())
            assert assert_same_steps(ours, theirs, n_steps, rng) > 0
        assert ours.why_in_python is None


@pytest.mark.parametrize("how", [{}, CENTRAL], ids=["own", "central"])
@pytest.mark.parametrize("game", [{}, NOISY, LUCK, THREE], ids=["", "noisy", "luck", "three"])
def test_team_grids_steps_are_pythons_to_the_bit(game: Any, how: Any) -> None:
    assert_same_games(TeamGrid, how, game, 3, 55)


@pytest.mark.parametrize("how", [{}, CENTRAL], ids=["own", "central"])
@pytest.mark.parametrize(
    "game",
    [
        {},
        {"continuous_actions": True, "N": 4},
        {"N": 2, "local_ratio": 0, "max_cycles": 9, "terminate_on_success": True},
        {"N": 9, "local_ratio": 0.3},
    ],
    ids=["", "continuous", "two", "nine"],
)
def test_simple_spreads_steps_are_mpes_to_the_bit(game: Any, how: Any) -> None:
    assert_same_games(spread(), how, game, 6, 30)


def test_one_agent_that_covers_its_landmark_ends_the_game_where_that_is_asked() -> None:
    game = {"N": 1, "terminate_on_success": True, "max_cycles": 300}
    ours, theirs = pair(spread(), 2, 5, {}, **game)
    assert_same(ours.reset(), theirs.reset())
    assert (
        assert_same_steps(ours, theirs, 900, np.random.default_rng(0)) >= 6
    )  # by time: 2 · 900 // 300


def trained(env: Any, critic_only: Any) -> SpecPPO:
    kept = {"critic_only": critic_only} if critic_only else {}
    how = {"n_steps": 24, "batch_size": 48, "n_epochs": 2, "seed": 3, "policy_kwargs": kept}
    policy = "MultiInputPolicy" if env.view.has_state else "MlpPolicy"
    return SpecPPO(policy, env, **how).learn(3 * 24 * env.num_envs)


def assert_trains_alike(maker: Any, how: Any, critic_only: Any, folder: Any, **game: Any) -> None:
    folders = [str(folder / name) for name in ("ours", "theirs")]
    ours = make_parallel_vec_env(maker, 4, monitor_dir=folders[0], **how, **game)
    theirs = ParallelVecEnv([maker(**game) for _ in range(4)], monitor_dir=folders[1], **how)
    models = trained(ours, critic_only), trained(theirs, critic_only)
    assert ours.why_in_python is None
    parameters, expected = (model.get_parameters()["policy"] for model in models)
    assert all(th.equal(parameters[name], expected[name]) for name in expected)
    assert_same(*(model._last_obs for model in models))
    assert_same(*([*(model.ep_info_buffer or ())] for model in models))
    assert len(models[0].ep_info_buffer or ()) > 8
    # The games go on where the rollout left them, what the teams earned so far included.
    assert assert_same_steps(ours, theirs, 55, np.random.default_rng(0)) > 0
    ours.close()
    theirs.close()
    notes = [sorted((folder / name).iterdir()) for name in ("ours", "theirs")]
    for one, other in zip(*notes, strict=True):
        rows = [file.read_text().splitlines()[2:] for file in (one, other)]
        assert_same(*([row.rsplit(",", 1)[0] for row in of] for of in rows))


@pytest.mark.parametrize(
    ("how", "critic_only"),
    [
        ({}, None),
        (CENTRAL, ["state"]),
        # As long as the state is what an agent sees, and not in the same order.
        ({"critic": "central"}, ["observation"]),
        pytest.param({"critic": "central"}, None, marks=pytest.mark.slow),  # by torch
    ],
    ids=["ippo", "mappo", "actor of the state", "all see all"],
)
def test_training_in_compiled_games_is_training_in_pythons(
    how: Any, critic_only: Any, tmp_path: Any
) -> None:
    assert_trains_alike(TeamGrid, how, critic_only, tmp_path, max_steps=11)


@pytest.mark.slow
@pytest.mark.parametrize("game", [{}, {"continuous_actions": True}], ids=["discrete", "continuous"])
@pytest.mark.parametrize("how", [{}, CENTRAL], ids=["ippo", "mappo"])
def test_training_in_compiled_spread_is_training_in_mpes(
    game: Any, how: Any, tmp_path: Any
) -> None:
    assert_trains_alike(spread(), how, ["state"] if how else None, tmp_path, **game)


def test_normalised_games_are_pythons_to_the_bit() -> None:
    ours, theirs = map(SampledVecNormalize, pair(TeamGrid, 2, 4, {}, max_steps=9))
    rng = np.random.default_rng(1)
    assert_same(ours.reset(), theirs.reset())
    for _ in range(30):
        actions = rng.integers(4, size=4)
        assert_same(ours.step(actions), theirs.step(actions))
    assert ours.unwrapped.why_in_python is None


def stay(env: Any) -> str | None:
    env.get_attr("max_steps")
    return None


def ask(env: Any) -> str:
    env.get_attr("np_random")
    return "asked for the attribute 'np_random'"


def hold(env: Any) -> str:
    assert len(env.games) == 2
    return "asked for the games themselves"


def shorten(env: Any) -> str:
    env.set_attr("max_steps", 3)
    return "asked for the games themselves"


def call(env: Any) -> str:
    env.env_method("state")
    return "asked for the games themselves"


def act_by_numbers(env: Any) -> str:
    env.step([0, 1, 2, 3])
    return "an action was none that the game takes"


def act_out_of_range(env: Any) -> str:
    with pytest.raises(ValueError, match=r"action of agent_1 is .*9"):
        env.step(np.array([0, 9, 0, 0]))
    return "an action was none that the game takes"


@pytest.mark.parametrize("look", [stay, ask, hold, shorten, call, act_by_numbers, act_out_of_range])
def test_whoever_looks_into_a_game_finds_it_where_its_copy_stands(look: Any) -> None:
    ours, theirs = pair(TeamGrid, 2, 4, {}, noise=0.2)
    rng = np.random.default_rng(1)
    assert_same(ours.reset(), theirs.reset())
    assert_same_steps(ours, theirs, 20, rng)
    reason = look(ours)
    look(theirs)
    assert (ours.why_in_python is None) == (reason is None)
    assert reason is None or reason in ours.why_in_python
    assert ours.get_attr("joint_state") == theirs.get_attr("joint_state")
    assert_same_steps(ours, theirs, 60, rng)
    assert ours.get_attr("_clock") == theirs.get_attr("_clock")
    assert_same(ours.reset(), theirs.reset())


def test_a_game_of_mpes_is_handed_over_in_its_midst() -> None:
    ours, theirs = pair(spread(), 2, 4, CENTRAL)
    rng = np.random.default_rng(1)
    assert_same(ours.reset(), theirs.reset())
    assert_same_steps(ours, theirs, 33, rng)
    for env, other in zip(ours.games, theirs.games, strict=True):
        assert env.unwrapped.steps == other.unwrapped.steps == 33 - 25
        assert env.unwrapped.rewards == other.unwrapped.rewards
        assert env.unwrapped._cumulative_rewards == other.unwrapped._cumulative_rewards
        assert env.agents == other.agents
        assert_same(env.state(), other.state())
    assert_same_steps(ours, theirs, 60, rng)


def test_a_copy_of_the_environment_goes_on_from_there() -> None:
    ours, theirs = pair(TeamGrid, 2, 4, CENTRAL)
    rng = np.random.default_rng(1)
    assert_same(ours.reset(), theirs.reset())
    assert_same_steps(ours, theirs, 20, rng)
    apart = copy.deepcopy(ours)
    assert apart.why_in_python == "their environment is a copy"
    assert_same_steps(apart, theirs, 40, rng)
    assert ours.why_in_python is None


class Subclass(TeamGrid):
    pass


def patched() -> TeamGrid:
    game = TeamGrid()
    game.state = lambda: np.zeros(6, np.float32)  # type: ignore[method-assign]
    return game


@pytest.mark.parametrize(
    ("maker", "game", "reason"),
    [
        (Subclass, {}, "no compiled form of"),
        (patched, {}, "may look into it"),
        (TeamGrid(), {}, "may look into it"),
        (lambda: TeamGrid(), {}, "may look into it"),
        (TeamGrid, {"render_mode": "ansi"}, "render_mode='ansi'"),
    ],
)
def test_what_is_not_exactly_the_game_is_stepped_in_python(
    maker: Any, game: Any, reason: str, capsys: Any
) -> None:
    env = make_parallel_vec_env(maker, 2, **game)
    assert type(env) is ParallelVecEnv
    assert reason in str(env.why_in_python)
    SpecPPO("MlpPolicy", env, n_steps=4, batch_size=8, n_epochs=1, verbose=1).learn(32)
    said = f"Stepping the games in Python, because {env.why_in_python}\n"
    assert capsys.readouterr().out.count(said) == 1


@pytest.mark.parametrize(
    "maker", ["team_grid_v0", "pettingzoo:team_grid_v0", parallel_env, partial(TeamGrid, noise=0.1)]
)
def test_the_games_own_makers_make_compiled_ones(maker: Any) -> None:
    assert type(make_parallel_vec_env(maker, 2)) is CompiledParallelVecEnv


def test_a_class_that_is_changed_is_stepped_in_python(monkeypatch: Any) -> None:
    ours, theirs = pair(TeamGrid, 2, 4, {})
    rng = np.random.default_rng(1)
    assert_same(ours.reset(), theirs.reset())
    assert_same_steps(ours, theirs, 9, rng)
    step = TeamGrid.step

    def doubled(self: Any, actions: Any) -> Any:
        seen, rewards, *rest = step(self, actions)
        return seen, {agent: 2 * reward for agent, reward in rewards.items()}, *rest

    monkeypatch.setattr(TeamGrid, "step", doubled)
    assert_same_steps(ours, theirs, 40, rng)
    assert ours.why_in_python == "TeamGrid.step of envs.team_grid was replaced"
    assert make_parallel_vec_env(TeamGrid, 2).why_in_python == ours.why_in_python


@pytest.mark.parametrize(
    ("game", "reason"),
    [
        ({"curriculum": True}, "curriculum=True"),
        ({"num_agent_neighbors": 1}, "num_agent_neighbors=1"),
        ({"benchmark_data": True}, "benchmark_data"),
        ({"render_mode": "rgb_array"}, "render_mode='rgb_array'"),
        ({"local_ratio": np.float32(0.5)}, "local_ratio is"),
    ],
)
def test_arguments_of_simple_spread_that_are_not_restated_are_named(game: Any, reason: str) -> None:
    env = make_parallel_vec_env(spread(), 1, **game)
    assert reason in str(env.why_in_python)


def test_another_version_of_mpes_source_is_stepped_in_python(monkeypatch: Any) -> None:
    maker = spread()
    monkeypatch.setitem(mpe.COMPARED, "mpe2._mpe_utils.core", "0" * 16)
    mpe.why_other_source.cache_clear()
    reason = make_parallel_vec_env(maker, 1).why_in_python
    mpe.why_other_source.cache_clear()
    assert str(reason).startswith("the source of mpe2._mpe_utils.core is another than was compared")

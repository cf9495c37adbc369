"""The pool of worker processes: DummyVecEnv's numbers in any space, and what is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import load_results

from ppo_lab import SpecPPO
from ppo_lab.compiled.env_steps import PoolSteps, quickest_steps
from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env import make_pool_vec_env
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.vec_env.echo import Echo
from tests.ppo_lab.vec_env.pooled import IMAGE, N, assert_alike, assert_equal, both, drawn, pids

OBSERVATIONS = {
    "discrete": spaces.Discrete(5, start=2),
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(4),
    "float64": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    "int16": spaces.Box(-9, 9, (2,), np.int16),
    "scalar": spaces.Box(-1.0, 1.0, (), np.float32),
    "image": IMAGE,
    "dict": spaces.Dict({"b": IMAGE, "a": spaces.Discrete(3), "c": spaces.Box(0, 1, (2,))}),
    "tuple": spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1, (2,), np.float64)]),
}
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(4),
    "float64": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    "float32": spaces.Box(-1.0, 1.0, (1,), np.float32),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_observations_of_every_space_are_dummy_vec_envs(name: str) -> None:
    ours, theirs = both(observations=OBSERVATIONS[name])
    assert_alike(ours, theirs, drawn(theirs.action_space))
    ours.close()


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_of_every_space_reach_the_environments_as_they_are(name: str) -> None:
    ours, theirs = both(actions=ACTIONS[name], says=1)
    assert_alike(ours, theirs, drawn(theirs.action_space))
    # SB3's policies choose float32 for a MultiBinary, and users what they like.
    for kind in (np.float32, np.float64, np.int64, np.int8):
        actions = drawn(theirs.action_space)().astype(kind)
        assert_equal(ours.step(actions), theirs.step(actions))
    ours.close()


@pytest.mark.parametrize("n_workers", [1, 3, 8])
def test_the_number_of_workers_changes_no_number(n_workers: int) -> None:
    ours, theirs = both(n_workers)
    assert len(pids(ours)) == min(n_workers, N)
    assert_alike(ours, theirs, drawn(theirs.action_space))
    theirs.set_options([{"level": i} for i in range(N)])
    ours.set_options([{"level": i} for i in range(N)])
    assert_alike(ours, theirs, drawn(theirs.action_space))
    assert_equal(
        ours.env_method("render", indices=[4, -1, 0]),
        theirs.env_method("render", indices=[4, -1, 0]),
    )
    ours.close()


def test_what_was_returned_stays_as_it_was() -> None:
    ours, theirs = both(observations=OBSERVATIONS["dict"])
    kept = [(ours.reset(), theirs.reset())]
    actions = drawn(theirs.action_space)
    for _ in range(8):
        given = actions()
        kept.append((ours.step(given), theirs.step(given.copy())))
        given[...] = 7.0  # the caller's own array is his to change
    for one, other in kept:
        assert_equal(one, other)
    ours.close()


def test_a_noted_step_is_a_step_with_the_infos_of_ends_alone() -> None:
    ours, theirs = both()
    assert isinstance(quickest_steps(ours), PoolSteps)
    assert_equal(ours.reset(), theirs.reset())
    actions = drawn(theirs.action_space)
    for _ in range(11):
        given = actions()
        *arrays, noted = quickest_steps(ours).step(given)
        *expected, infos = theirs.step(given)
        for array, other in zip(arrays, expected, strict=True):
            assert_equal(array, other)
        assert_equal(noted, [(i, infos[i]) for i in np.flatnonzero(expected[2])])
    ours.close()


class _Own(PoolVecEnv):
    """A subclass, whose steps may be others."""


def test_a_subclass_is_stepped_by_its_own_step() -> None:
    env = _Own([Echo, Echo], 1)
    assert not isinstance(quickest_steps(env), PoolSteps)
    env.close()


@pytest.mark.parametrize("backend", ["sb3", "torch", "compiled"])
def test_learning_on_it_is_learning_on_dummy_vec_env_bit_by_bit(
    backend: Any, tmp_path: Path
) -> None:
    def trained(make: Any, name: str) -> Any:
        env = make("Pendulum-v1", 4, seed=3, monitor_dir=str(tmp_path / name))
        settings: dict[str, Any] = {"n_steps": 128, "batch_size": 64, "n_epochs": 2, "seed": 2}
        kind = PPO if backend == "sb3" else partial(SpecPPO, backend=backend)
        model = kind("MlpPolicy", env, device="cpu", **settings).learn(1024)
        env.close()
        results = load_results(str(tmp_path / name))
        return model.policy.state_dict(), sorted(results["r"]), sorted(results["l"])

    (ours, *our_episodes), (theirs, *episodes) = (
        trained(make_pool_vec_env, "pool"),
        trained(make_vec_env, "dummy"),
    )
    for name, tensor in theirs.items():
        assert tensor.equal(ours[name]), name
    assert our_episodes == episodes
    assert len(episodes[0]) == 4


def test_functions_one_an_environment_are_wrapped_as_make_vec_env_wraps(tmp_path: Path) -> None:
    ours = make_pool_vec_env(
        [partial(Echo, length=3), partial(Echo, length=4)],
        n_workers=2,
        seed=3,
        start_index=6,
        monitor_dir=str(tmp_path / "m"),
        wrapper_class=TimeLimit,
        wrapper_kwargs={"max_episode_steps": 2},
        monitor_kwargs={"info_keywords": ()},
        vec_env_kwargs={"timeout": 60.0},
    )
    assert ours.env_is_wrapped(TimeLimit) == [True, True]
    assert [space.sample().tolist() for space in ours.get_attr("action_space")] == [
        _sampled(seed) for seed in (9, 10)
    ]
    ours.reset()
    for _ in range(2):
        _, _, dones, _ = ours.step(np.zeros((2, 3), np.float32))
    assert dones.all()
    ours.close()
    assert {file.name for file in (tmp_path / "m").iterdir()} == {"6.monitor.csv", "7.monitor.csv"}
    with pytest.raises(ArgumentError, match="n_envs=3, but 2 functions"):
        make_pool_vec_env([Echo, Echo], 3)


def _sampled(seed: int) -> Any:
    space = Echo().action_space
    space.seed(seed)
    return space.sample().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_every_way_to_start_processes_gives_the_same_numbers(method: str) -> None:
    ours = make_pool_vec_env(Echo, N, 2, seed=4, vec_env_kwargs={"start_method": method})
    theirs = make_vec_env(Echo, N, seed=4)
    assert_alike(ours, theirs, drawn(theirs.action_space))
    ours.close()


# ---------------------------------------------------------------------- what is refused


def test_what_cannot_work_is_refused_in_one_sentence() -> None:
    nested = spaces.Dict({"a": spaces.Dict({"b": spaces.Discrete(2)})})
    for make, kwargs, message in (
        (Echo, {"n_workers": 0}, "n_workers=0: expected 1 or more"),
        (Echo, {"timeout": 0.0}, "timeout=0.0: expected seconds above 0"),
        (Echo, {"start_method": "loky"}, "start_method='loky': expected one of"),
        (lambda _lock=(i for i in "a"): Echo(), {}, "makes environment 0 cannot be sent"),
        (partial(Echo, nested), {}, "Nested observation spaces are not supported"),
        (partial(Echo, spaces.Text(4)), {}, "no arrays of one shape.*SubprocVecEnv"),
    ):
        with pytest.raises(ArgumentError, match=message):
            PoolVecEnv([make], **kwargs)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no environments"):
        PoolVecEnv([])


def test_steps_are_begun_and_waited_for_by_turns() -> None:
    env, _ = both()
    env.reset()
    with pytest.raises(RuntimeError, match="step_async before step_wait"):
        env.step_wait()
    actions = np.zeros((N, 3), np.float32)
    env.step_async(actions)
    with pytest.raises(RuntimeError, match="under way already"):
        env.step_async(actions)
    assert env.get_attr("taken") == [1] * N  # asked in the midst of it
    env.step_wait()
    env.step_async(actions)
    env.reset()
    assert env.get_attr("taken") == [0] * N
    for wrong in (actions[:4], np.zeros((N, 4), np.float64), np.array([[None] * 3] * N), 3.0):
        with pytest.raises(ArgumentError, match=r"expected \(5, 3\) of float32"):
            env.step(wrong)  # type: ignore[arg-type]
    env.step(actions)
    env.close()

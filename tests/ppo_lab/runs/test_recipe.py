"""Environments as the zoo makes them, number by number, and what settings may name."""

import argparse
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym
import numpy as np
import pytest
import yaml
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    VecEnv,
    VecEnvWrapper,
    VecNormalize,
    unwrap_vec_normalize,
)

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.sources import zoo_settings
from ppo_lab.runs.config import Evaluation, RunConfig, VecEnvKind
from ppo_lab.runs.recipe import EnvironmentRecipe
from ppo_lab.runs.sb3_training import evaluation_recipe
from ppo_lab.vec_env import GymnasiumVecEnv

exp_manager = pytest.importorskip("rl_zoo3.exp_manager", reason="the package rl_zoo3 is missing")
ZOO = Path(exp_manager.__file__).parent / "hyperparams" / "ppo.yml"
PLAIN = ["CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1"]
PACKAGES = (
    ("Bullet", "pybullet_envs_gymnasium"),
    ("MiniGrid", "minigrid"),
    ("LunarLander|Bipedal|CarRacing", "Box2D"),
    ("NoFrameskip|ALE/", "ale_py"),
    ("-v2$", "mujoco_py"),
    ("-v4$", "mujoco"),
)
"""Signs in an id and the package that has the environment; none: Gymnasium itself."""
ENTRIES = [name for name in yaml.safe_load(ZOO.read_text()) if name not in ("default", "atari")]
GAMES = ["ale_py:ALE/Pong-v5", "ale_py:ALE/Breakout-v5", "ale_py:QbertNoFrameskip-v4"]
FEW = ["HalfCheetah-v4", "Swimmer-v4", "LunarLander-v3", "MiniGrid-DoorKey-5x5-v0", GAMES[0]]

needs_envpool = pytest.mark.skipif(find_spec("envpool") is None, reason="envpool is missing")


def zoos_environment(env_id: str, count: int, folder: Path, evaluation: bool) -> VecEnv:
    manager = exp_manager.ExperimentManager(
        argparse.Namespace(),
        "ppo",
        env_id.split(":")[-1],
        str(folder),
        eval_freq=-1,
        seed=3,
        verbose=0,
    )
    settings, _ = manager.read_hyperparameters()
    _, manager.env_wrapper, _, manager.vec_env_wrapper = manager._preprocess_hyperparams(settings)
    env: VecEnv = manager.create_envs(count, eval_env=evaluation, no_log=True)
    return env


def our_environment(env_id: str, count: int, evaluation: bool) -> VecEnv:
    settings = zoo_settings("ppo", env_id)
    assert settings is not None
    assert settings.word == "zoo"
    recipe = EnvironmentRecipe(
        env=env_id,
        gamma=settings.hyperparameters.get("gamma"),
        normalize=settings.normalize,
        **settings.environment,
    )
    return recipe.make(count, seed=3, training=not evaluation)


def assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            np.testing.assert_array_equal(ours[key], theirs[key])
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def assert_same_steps(ours: VecEnv, theirs: VecEnv, steps: int = 200) -> None:
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    try:
        assert_equal(ours.reset(), theirs.reset())
        theirs.action_space.seed(0)
        for _ in range(steps):
            actions = np.stack([theirs.action_space.sample() for _ in range(theirs.num_envs)])
            one, other = ours.step(actions), theirs.step(actions)
            for mine, their in zip(one[:3], other[:3], strict=True):
                assert_equal(mine, their)
            for mine, their in zip(one[3], other[3], strict=True):
                assert mine.get("episode", {}).get("r") == their.get("episode", {}).get("r")
    finally:
        ours.close()
        theirs.close()


@pytest.mark.parametrize("evaluation", [False, True], ids=["training", "evaluation"])
@pytest.mark.parametrize("env_id", PLAIN)
def test_an_environment_steps_as_the_zoos(env_id: str, evaluation: bool, tmp_path: Path) -> None:
    theirs = zoos_environment(env_id, 2, tmp_path, evaluation)
    assert_same_steps(our_environment(env_id, 2, evaluation), theirs)


def needed(env_id: str) -> None:
    """Skip where the package of an environment is missing."""
    for sign, package in PACKAGES:
        if re.search(sign, env_id):
            pytest.importorskip(package, reason=f"the package {package} is missing")
            return


@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
@pytest.mark.parametrize("env_id", FEW)
def test_environments_of_other_packages_step_as_the_zoos(env_id: str, tmp_path: Path) -> None:
    needed(env_id)
    theirs = zoos_environment(env_id, 2, tmp_path, evaluation=False)
    assert_same_steps(our_environment(env_id, 2, evaluation=False), theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*out of date:DeprecationWarning")
@pytest.mark.parametrize("env_id", [*ENTRIES, *GAMES])
def test_every_entry_of_the_zoos_file_steps_as_the_zoos(env_id: str, tmp_path: Path) -> None:
    needed(env_id)
    for evaluation in (False, True):
        theirs = zoos_environment(env_id, 2, tmp_path, evaluation)
        assert_same_steps(our_environment(env_id, 2, evaluation), theirs)


ATARI = "stable_baselines3.common.atari_wrappers"
VEC_ENV = "stable_baselines3.common.vec_env"


def recipe(**words: Any) -> EnvironmentRecipe:
    return EnvironmentRecipe(**{"env": "CartPole-v1", **words})


def test_layers_lie_as_in_the_zoo_with_the_monitor_inside() -> None:
    env = recipe(
        env_wrapper=["rl_zoo3.wrappers.TimeFeatureWrapper"],
        vec_env_wrapper=[
            {"stable_baselines3.common.vec_env.VecCheckNan": {"raise_exception": True}}
        ],
        normalize={"norm_reward": False},
        gamma=0.9,
        frame_stack=3,
    ).make(2)
    try:
        layers, layer = [], env
        while isinstance(layer, VecEnvWrapper):
            layers.append(type(layer).__name__)
            layer = layer.venv
        assert layers == ["VecFrameStack", "VecNormalize", "VecCheckNan"]
        single, inner = layer.envs[0], []
        while isinstance(single, gym.Wrapper):
            inner.append(type(single).__name__)
            single = single.env
        assert inner[:2] == ["TimeFeatureWrapper", "Monitor"]
        normalized = unwrap_vec_normalize(env)
        assert normalized is not None
        assert (normalized.gamma, normalized.norm_reward) == (0.9, False)
        assert env.observation_space.shape == (15,)  # (4 + the time left) × 3 frames
    finally:
        env.close()


def test_evaluation_keeps_true_rewards_and_statistics() -> None:
    env = recipe(normalize=True).make(1, training=False)
    assert isinstance(env, VecNormalize)
    assert (env.training, env.norm_reward) == (False, False)
    env.close()


def test_normalised_whole_numbers_are_stored_as_they_are_normalised() -> None:
    """As MiniGrid's, whose observations are uint8."""
    whole = {"gymnasium.wrappers.DtypeObservation": {"dtype": "int32"}}
    env = recipe(env="Pendulum-v1", env_wrapper=[whole], normalize=True).make(1)
    try:
        assert env.observation_space == spaces.Box(-10, 10, (3,), np.float32)
    finally:
        env.close()


@pytest.mark.parametrize(("kind", "made"), [("subproc", "SubprocVecEnv"), ("pool", "PoolVecEnv")])
def test_environments_in_processes_of_their_own_step_as_those_here(kind: Any, made: str) -> None:
    words: dict[str, Any] = {"env_wrapper": ["rl_zoo3.wrappers.TimeFeatureWrapper"]}
    apart, here = (recipe(vec_env=each, **words).make(2, seed=5) for each in (kind, "dummy"))
    assert type(apart).__name__ == made
    try:
        assert_equal(apart.reset(), here.reset())
        for _ in range(50):
            actions = np.array([here.action_space.sample() for _ in range(2)])
            ours, theirs = apart.step(actions), here.step(actions)
            assert_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])
            assert_equal(ours[2], theirs[2])
    finally:
        apart.close()
        here.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"env_wrapper": ["os.system"]}, "code of the package 'os', which nobody has named"),
        (
            {"env_wrapper": ["gymnasium.utils.seeding.np.load"]},
            "cannot be imported|nobody has named",
        ),
        (
            {"env_wrapper": ["gymnasium.wrappers.NoSuchWrapper"]},
            "'gymnasium.wrappers.NoSuchWrapper' cannot be imported: AttributeError",
        ),
        ({"env_wrapper": [{f"{ATARI}.MaxAndSkipEnv": {"jump": 4}}]}, r"MaxAndSkipEnv\(jump=4\)"),
        ({"env_wrapper": ["gymnasium.spaces.Discrete"]}, "cannot be made"),
        ({"env_wrapper": ["gymnasium.Wrapper.close"]}, "expected package.module.Name|imported"),
        ({"env_wrapper": [3]}, "env_wrapper 3: expected package.module.Name"),
        ({"vec_env_wrapper": ["gymnasium.wrappers.TimeAwareObservation"]}, "cannot be made|gave a"),
        ({"frame_stack": 2, "env": "ppo_lab/GridWorld-v0"}, "frame_stack=2 does not fit"),
    ],
)
def test_what_settings_name_wrongly_is_one_line(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        recipe(**words).make(1)
    assert "\n" not in str(caught.value)


def test_a_package_that_was_named_may_be_imported_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "doubling.py").write_text(
        "import gymnasium as gym\n\n\nclass Doubled(gym.RewardWrapper):\n"
        "    def reward(self, reward):\n        return 2 * reward\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words: dict[str, Any] = {"env_wrapper": ["doubling.Doubled"]}
    with pytest.raises(ArgumentError, match="--env-packages doubling lets settings import"):
        recipe(**words).make(1)
    env = recipe(packages=["doubling"], **words).make(1, seed=0)
    env.reset()
    assert env.step(np.array([0]))[1] == 2.0
    env.close()


@pytest.mark.parametrize(
    ("algo", "env", "stated", "expected"),
    [
        ("ppo", "CartPole-v1", "", "MlpPolicy"),
        ("ppo", "CartPole-v1", "MlpPolicy", "MlpPolicy"),
        ("ppo_lstm", "CartPole-v1", "MlpPolicy", "MlpLstmPolicy"),  # one file for both
        ("ppo", "CartPole-v1", "MlpLstmPolicy", "MlpPolicy"),
        ("q_learning", "ppo_lab/GridWorld-v0", "MlpPolicy", "table"),
    ],
)
def test_the_policy_is_the_algorithms_form_of_the_one_stated(
    algo: str, env: str, stated: str, expected: str
) -> None:
    words: dict[str, Any] = {"env_kwargs": {"observation": "index"}} if "Grid" in env else {}
    assert recipe(env=env, **words).fitting_policy(algo, stated) == expected


# ---------------------------------------------------------------------- vector environments


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"normalize": True, "frame_stack": 2, "gamma": 0.9},
        {"env_wrapper": ["gymnasium.wrappers.TimeAwareObservation"]},
        {"env": "Pendulum-v1", "monitor_kwargs": {"info_keywords": []}},
    ],
)
def test_gymnasiums_vector_environment_steps_as_the_copies_one_by_one(
    words: dict[str, Any], tmp_path: Path
) -> None:
    folders = tmp_path / "vector", tmp_path / "dummy"
    for folder in folders:
        folder.mkdir()
    ours, theirs = (
        recipe(vec_env=kind, **words).make(2, seed=5, monitor_dir=str(folder))
        for kind, folder in zip(("vector", "dummy"), folders, strict=True)
    )
    assert isinstance(ours.unwrapped, GymnasiumVecEnv)
    assert_same_steps(ours, theirs, 230)
    files = [(folder / "1.monitor.csv").read_text().splitlines()[1:] for folder in folders]
    lines = [[line.rpartition(",")[0] for line in file] for file in files]
    assert lines[0] == lines[1]  # but for the seconds
    assert len(lines[0]) >= 2


def test_an_environments_own_vector_form_is_taken_where_it_resets_on_the_same_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = []
    for env_id in ("ppo_lab/GridWorld-v0", "CartPole-v1"):
        env = recipe(env=env_id, vec_env="vector").make(2, seed=1, verbose=1)
        assert isinstance(env, GymnasiumVecEnv)
        kinds.append(type(env.env).__name__)
        assert env.env_is_wrapped(Monitor) == [True, True]
        assert not env.resets_by_steps
        env.close()
    assert kinds == ["GridWorldVector", "SyncVectorEnv"]
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert "CartPole-v1 by Gymnasium's SyncVectorEnv, because" in said[0]


def test_a_run_is_scored_in_gymnasiums_environment_however_it_was_trained() -> None:
    words: dict[str, Any] = {"algo": "ppo", "env": "CartPole-v1", "seed": 0, "timesteps": 1}
    words |= {"n_envs": 1, "policy": "MlpPolicy", "hyperparameters": {}}
    kinds: dict[VecEnvKind, str] = {}
    for kind in get_args(VecEnvKind):
        config = RunConfig(**words, evaluation=Evaluation(1, 0), vec_env=kind)
        kinds[kind] = evaluation_recipe(config).vec_env
    assert (kinds["vector"], kinds["envpool"], kinds["subproc"]) == ("dummy", "dummy", "subproc")


@needs_envpool
def test_envpools_copies_show_gymnasiums_spaces_and_time_limit(tmp_path: Path) -> None:
    words: dict[str, Any] = {"normalize": True, "frame_stack": 2, "env": "Pendulum-v1"}
    ours = recipe(vec_env="envpool", **words).make(2, seed=5, monitor_dir=str(tmp_path))
    theirs = recipe(**words).make(2)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ours.reset()
    dones = [ours.step(np.zeros((2, 1), np.float32))[2].tolist() for _ in range(200)]
    assert dones == [[False, False]] * 199 + [[True, True]]
    rows = (tmp_path / "1.monitor.csv").read_text().splitlines()
    assert '"env_id": "Pendulum-v1"' in rows[0]
    assert [row.split(",")[1] for row in rows[2:]] == ["200"]
    for env in (ours, theirs):
        env.close()


@needs_envpool
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"env_wrapper": ["gymnasium.wrappers.TimeAwareObservation"]},
            "in C.., and it has .*TimeAwareObservation.* around each: use --vec-env dummy",
        ),
        ({"monitor_kwargs": {"allow_early_resets": False}}, "its monitor has arguments: use"),
        ({"compiled": False}, "asks each environment for its masks: use --vec-env dummy"),
        ({"env": "Taxi-v4"}, "EnvPool has no environment 'Taxi-v4'; closest"),
        ({"env": "FrozenLake-v1", "env_kwargs": {"is_slippery": False}}, "with {'is_slippery'"),
    ],
)
def test_what_envpool_cannot_do_is_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        recipe(vec_env="envpool", **words).make(2)
    assert "\n" not in str(caught.value)

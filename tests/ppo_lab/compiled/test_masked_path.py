"""SpecPPO under masks by the kernels: the torch path, and SB3's way of stepping, are oracles."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.callbacks import AfterUpdateEvalCallback
from ppo_lab.runs.compiled_evaluation import can_evaluate
from ppo_lab.runs.masked_evaluation import MaskedAfterUpdateEvalCallback, evaluator_under_masks
from ppo_lab.vec_env import make_native_vec_env
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.compiled.test_path import SMALL, assert_same_updates
from tests.ppo_lab.ppo.masked import BITS, VECTOR, Masked
from tests.ppo_lab.test_algorithm_drop_in import assert_equal_states

pytestmark = pytest.mark.filterwarnings("ignore:batch_size=40 does not divide the rollout")

GRID = "ppo_lab/NoisyGridWorld-v0"
COORDINATES = {"observation": "coordinates", "max_episode_steps": 9}


def model(env: VecEnv, backend: Any = "compiled", **kwargs: Any) -> SpecPPO:
    return SpecPPO("MlpPolicy", env, mask_actions=True, **(SMALL | kwargs), backend=backend)


def masked(space: spaces.Space[Any], **how: Any) -> VecEnv:
    return make_vec_env(lambda: Masked(space), 2, seed=1, **how)


SPACES = {"Discrete": spaces.Discrete(5), "MultiDiscrete": VECTOR, "MultiBinary": BITS}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_an_update_under_masks_is_the_torch_paths(space: spaces.Space[Any]) -> None:
    options = {"ent_coef": 0.01, "objective": "adaptive_kl"}
    ours = model(masked(space), **options)
    assert_same_updates(ours, model(masked(space), "torch", **options))
    buffer = ours.rollout_buffer
    assert buffer.action_masks.min() == 0
    for batch in buffer.get():
        actions = batch.actions.long()
        actions = actions.flatten() if isinstance(space, spaces.Discrete) else actions
        found = [
            policy.evaluate_actions(batch.observations, actions, action_masks=batch.action_masks)
            for policy in (ours.policy,)
        ]
        assert th.isfinite(found[0][1]).all()


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_a_rollout_holds_what_the_masked_policy_says_of_it(space: spaces.Space[Any]) -> None:
    ours = model(masked(space))
    ours._setup_learn(10_000)
    callback = ours._init_callback(None)
    assert ours.collect_rollouts(ours.env, callback, ours.rollout_buffer, 48)
    for batch in ours.rollout_buffer.get():
        actions = batch.actions.long()
        actions = actions.flatten() if isinstance(space, spaces.Discrete) else actions
        with th.no_grad():
            values, log_prob, _ = ours.policy.evaluate_actions(
                batch.observations, actions, action_masks=batch.action_masks
            )
        th.testing.assert_close(values.flatten(), batch.old_values, rtol=1e-5, atol=1e-6)
        th.testing.assert_close(log_prob, batch.old_log_prob, rtol=1e-5, atol=1e-6)


def _on_every_step(_locals: Any, _globals: Any) -> bool:
    return True


@pytest.mark.parametrize(
    "kwargs",
    [
        pytest.param({}, id="index"),
        pytest.param(COORDINATES, id="coordinates", marks=pytest.mark.slow),
    ],
)
def test_a_grid_gives_the_same_bits_stepped_by_sb3_by_step_or_whole(kwargs: Any) -> None:
    """The masks are those of ``action_masks()``, read from each environment or by the kernel."""
    by_sb3 = model(make_vec_env(GRID, 3, seed=1, env_kwargs=kwargs)).learn(480)
    by_step = model(make_native_vec_env(GRID, 3, seed=1, **kwargs)).learn(480, _on_every_step)
    whole = model(make_native_vec_env(GRID, 3, seed=1, **kwargs)).learn(480)
    for each in (by_step, whole):
        assert_equal_states(each.get_parameters(), by_sb3.get_parameters())
        np.testing.assert_array_equal(
            each.rollout_buffer.action_masks, by_sb3.rollout_buffer.action_masks
        )
    taken = whole.rollout_buffer.actions.astype(int)
    assert np.take_along_axis(whole.rollout_buffer.action_masks, taken, 1).all()
    assert whole.rollout_buffer.action_masks.min() == 0


@pytest.mark.slow
def test_under_vec_normalize_too_whole_rollouts_have_their_masks() -> None:
    stepped, whole = (
        model(VecNormalize(make(GRID, 3, 1, **arguments))).learn(480)
        for make, arguments in (
            (make_vec_env, {"env_kwargs": COORDINATES}),
            (make_native_vec_env, COORDINATES),
        )
    )
    assert whole.rollout_buffer.action_masks.min() == 0
    assert_equal_states(whole.get_parameters(), stepped.get_parameters())


@pytest.mark.slow
def test_a_pool_gives_the_same_bits() -> None:
    env = masked(spaces.Discrete(5), vec_env_cls=PoolVecEnv)
    pooled = model(env).learn(192)
    env.close()
    assert_equal_states(
        pooled.get_parameters(), model(masked(spaces.Discrete(5))).learn(192).get_parameters()
    )


def test_copies_have_the_masks_of_their_own_states() -> None:
    env, singles = CompiledVecEnv(GRID, 4, seed=3), make_vec_env(GRID, 4, seed=3)
    for each in (env, singles):
        each.reset()
    for _ in range(12):
        masks = get_action_masks(env)
        np.testing.assert_array_equal(masks, get_action_masks(singles))
        actions = masks.argmax(axis=1)
        for each in (env, singles):
            each.step(actions)
    some = env.env_method("action_masks", indices=[2])
    np.testing.assert_array_equal(some[0], get_action_masks(env)[2])


def test_an_evaluation_in_one_call_is_sb3_contribs() -> None:
    trained = model(make_native_vec_env(GRID, 3, seed=1)).learn(480)
    env = CompiledVecEnv(GRID, 2, seed=5)
    assert can_evaluate(trained, env, deterministic=True)
    compiled = trained.compiled_parameters()
    assert compiled is not None
    returns, lengths = env.evaluate(*compiled, n_episodes=6)
    env.seed(5)
    expected = evaluate_policy(trained, env, 6, return_episode_rewards=True, warn=False)
    np.testing.assert_allclose(returns, expected[0], atol=1e-6)
    assert lengths.tolist() == expected[1]


def test_an_evaluation_goes_on_under_masks_where_the_policy_was_changed(tmp_path: Path) -> None:
    trained = model(make_native_vec_env(GRID, 3, seed=1), "auto")
    evaluator = evaluator_under_masks(compiled=True)(
        CompiledVecEnv(GRID, 2, seed=5), eval_seed=5, at_start=True, eval_freq=150,
        n_eval_episodes=2, log_path=str(tmp_path), verbose=0,
    )  # fmt: skip
    assert isinstance(evaluator, MaskedAfterUpdateEvalCallback | AfterUpdateEvalCallback)
    trained.learn(150, evaluator)
    n_before = len(np.load(tmp_path / "evaluations.npz")["results"])
    trained.policy.mlp_extractor.policy_net[1] = th.nn.ELU()
    trained.learn(150, evaluator, reset_num_timesteps=False)
    assert len(np.load(tmp_path / "evaluations.npz")["results"]) > n_before > 0


class _OwnMasks(Masked):
    """Says what it was told to say."""

    said: Any = (True, False, True, True, True)

    def action_masks(self) -> Any:
        return self.said

    def step(self, action: Any) -> Any:
        self.clock = 1 - int(action) % 2  # of which every action is one that Masked takes
        return super().step(action)


BAD: dict[str, tuple[Any, str]] = {
    "width": ([True] * 4, "expected 2 × 5 truth values"),
    "nothing": ([False] * 5, "environment 0 allows no action at step 2"),
    "half": ([0.5] * 5, "other numbers than 0 and 1 at step 2"),
}


@pytest.mark.parametrize(("said", "words"), BAD.values(), ids=BAD.keys())
def test_masks_that_cannot_be_are_refused_as_on_the_torch_path(said: Any, words: str) -> None:
    for backend in ("torch", "compiled"):
        env = make_vec_env(lambda: _OwnMasks(spaces.Discrete(5)), 2, seed=1)
        ours = model(env, backend)

        def change(local: Any, _: Any, env: VecEnv = env) -> bool:
            for single in env.envs:  # type: ignore[attr-defined]
                single.unwrapped.said = said
            return True

        with pytest.raises(ArgumentError, match=words):
            ours.learn(192, change)


def test_where_the_kernels_cannot_serve_it_is_said_why(capsys: pytest.CaptureFixture[str]) -> None:
    relu = {"policy_kwargs": {"activation_fn": th.nn.ELU}}
    model(masked(VECTOR), "auto", verbose=1, **relu).learn(96)
    assert "Using the torch path, because policy_net[1] as an activation is ELU" in (
        capsys.readouterr().out
    )
    model(masked(VECTOR), "auto", verbose=1).learn(96)
    assert "Using the compiled path" in capsys.readouterr().out


def test_a_masked_policy_is_refused_by_a_world_without_masks() -> None:
    trained = model(make_native_vec_env(GRID, 3, seed=1)).learn(48)
    compiled = trained.compiled_parameters()
    assert compiled is not None
    with pytest.raises(ArgumentError, match="has no action_masks"):
        CompiledVecEnv("FrozenLake-v1", 2).evaluate(*compiled, n_episodes=1)
    with pytest.raises(ArgumentError, match="environments without action_masks"):
        model(CompiledVecEnv("FrozenLake-v1", 2))


class _Guided(gym.Wrapper[Any, Any, Any, Any]):
    """Has masks of its own around a grid world, which its compiled copies would not know."""

    def action_masks(self) -> Any:
        return [True, True, False, False]


def test_masks_around_a_grid_are_those_that_count() -> None:
    env = make_vec_env(GRID, 2, seed=1, wrapper_class=_Guided)
    trained = model(env).learn(192)
    assert set(np.unique(trained.rollout_buffer.actions)) <= {0.0, 1.0}

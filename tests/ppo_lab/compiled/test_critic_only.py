"""A critic that sees more, by the kernels: the torch path on the same rollout is the oracle."""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import NonFiniteError
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.compiled.test_path import SMALL, assert_same_updates
from tests.ppo_lab.ppo.test_critic_only import Hidden, _observation
from tests.ppo_lab.test_algorithm_drop_in import assert_equal_states

pytestmark = pytest.mark.filterwarnings("ignore:batch_size=40 does not divide the rollout")

KEYS: dict[str, Any] = {"policy_kwargs": {"critic_only": ["state"]}}


class Moving(Hidden):
    """The same with a Box of actions, cut after 8 steps; its first key is the critic's."""

    action_space = spaces.Box(-1.0, 1.0, (2,))  # type: ignore[assignment]

    def step(self, action: Any) -> Any:
        seen, reward, ended, _, infos = super().step(bool(action[0] > 0))
        return seen, reward, False, ended, infos


class Masked(Hidden):
    """The same, every other step with one action only."""

    def action_masks(self) -> list[bool]:
        return [True, self.clock % 2 == 0]


class Pictured(Hidden):
    """With a picture for the critic."""

    observation_space = spaces.Dict(
        {**Hidden.observation_space.spaces, "state": spaces.Box(0, 255, (36, 36, 3), np.uint8)}
    )

    def _observation(self) -> dict[str, Any]:
        return {**super()._observation(), "state": np.zeros((36, 36, 3), np.uint8)}


class Broken(Hidden):
    """Shows the critic what is no number at the sixth step of an episode."""

    def _observation(self) -> dict[str, Any]:
        seen = super()._observation()
        return {**seen, "state": np.full(2, np.nan, np.float32)} if self.clock == 5 else seen


def model(env: VecEnv, backend: Any = "compiled", **kwargs: Any) -> SpecPPO:
    return SpecPPO("MultiInputPolicy", env, **(SMALL | KEYS | kwargs), backend=backend)


def copies(kind: type[gym.Env[Any, Any]] = Hidden, **how: Any) -> VecEnv:
    return make_vec_env(kind, 2, seed=1, **how)


def look(_locals: Any, _globals: Any) -> bool:
    return True


CASES: dict[str, tuple[type[gym.Env[Any, Any]], dict[str, Any]]] = {
    "Discrete": (Hidden, {"ent_coef": 0.01, "objective": "adaptive_kl"}),
    "Box": (Moving, {"policy_kwargs": {"critic_only": ["clue", "kind"], "net_arch": [9]}}),
    "masked": (Masked, {"mask_actions": True}),
}


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES.keys())
def test_an_update_is_the_torch_paths(kind: Any, options: dict[str, Any]) -> None:
    ours = model(copies(kind), **options)
    assert_same_updates(ours, model(copies(kind), "torch", **options))


@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES.keys())
def test_a_rollout_holds_what_the_torch_policy_says_of_it(
    kind: Any, options: dict[str, Any]
) -> None:
    ours = model(copies(kind), **options)
    ours._setup_learn(10_000)
    callback = ours._init_callback(None)
    assert ours.collect_rollouts(ours.env, callback, ours.rollout_buffer, 48)
    for batch in ours.rollout_buffer.get():
        actions = batch.actions if kind is Moving else batch.actions.long().flatten()
        masks = {"action_masks": batch.action_masks} if ours.mask_actions else {}
        with th.no_grad():
            values, log_prob, _ = ours.policy.evaluate_actions(batch.observations, actions, **masks)
        th.testing.assert_close(values.flatten(), batch.old_values, rtol=1e-5, atol=1e-6)
        th.testing.assert_close(log_prob, batch.old_log_prob, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [Hidden, Moving])
def test_passed_over_or_looked_at_the_bits_are_the_same(kind: Any) -> None:
    """A callback that looks at every step takes SB3's way, and none DummyVecEnv's own arrays."""
    passed = model(copies(kind)).learn(192)
    looked_at = model(copies(kind)).learn(192, look)
    assert_equal_states(looked_at.get_parameters(), passed.get_parameters())
    episodes = [[(e["r"], e["l"]) for e in m.ep_info_buffer or ()] for m in (passed, looked_at)]
    assert episodes[0] == episodes[1] != []


def test_a_truncated_step_carries_the_value_of_what_the_critic_saw_last() -> None:
    ours = model(copies(Moving), gamma=0.5)
    ends: list[tuple[int, int, Any, float]] = []

    def note(local: Any, _: Any) -> bool:
        for index in np.flatnonzero(local["dones"]).tolist():
            last = local["infos"][index]["terminal_observation"]
            ends.append((local["n_steps"], index, last, float(local["rewards"][index])))
        return True

    ours._setup_learn(1000)
    ours.collect_rollouts(ours.env, ours._init_callback(note), ours.rollout_buffer, 48)
    kept = ours.rollout_buffer.rewards
    assert len(ends) == 12  # 48 steps of two, 8 an episode
    for step, index, last, reward in ends:
        with th.no_grad():
            value = float(ours.policy.predict_values(ours.policy.obs_to_tensor(last)[0]))
        assert kept[step, index] == pytest.approx(reward + 0.5 * value, abs=1e-5)


def test_saved_loaded_normalised_and_evaluated_it_goes_on(tmp_path: Path) -> None:
    env = VecNormalize(copies(), norm_obs_keys=["clue", "state"])
    trained = model(env).learn(192)
    trained.save(tmp_path / "model")
    loaded = SpecPPO.load(tmp_path / "model", env=env, device="cpu")
    assert_equal_states(loaded.get_parameters(), trained.get_parameters())
    assert loaded.backend == "compiled"
    loaded.learn(96)
    assert np.isfinite(evaluate_policy(loaded, env, n_eval_episodes=2, warn=False)[0])


def test_predict_takes_observations_with_and_without_the_critics_keys() -> None:
    trained = model(copies()).learn(96)
    whole = _observation()
    seen = {key: part for key, part in whole.items() if key != "state"}
    both = [trained.predict(each, deterministic=True)[0].tolist() for each in (whole, seen)]
    assert both[0] == both[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "around",
    [lambda env: env, partial(VecNormalize, norm_obs_keys=["clue", "state"])],
    ids=["bare", "normalised"],
)
def test_a_pool_gives_the_same_bits(around: Any) -> None:
    env = around(copies(vec_env_cls=PoolVecEnv))
    pooled = model(env).learn(192)
    env.close()
    alone = model(around(copies())).learn(192)
    assert_equal_states(pooled.get_parameters(), alone.get_parameters())


NOT_SERVED: dict[str, tuple[type[gym.Env[Any, Any]], dict[str, Any]]] = {
    "of 'state' the observations are images": (Pictured, {}),
    "the observations are a Dict, and no key of it is the critic's alone": (
        Hidden,
        {"policy_kwargs": {}},
    ),
}


@pytest.mark.parametrize("reason", NOT_SERVED)
def test_what_the_kernels_cannot_serve_is_left_to_torch(
    reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, options = NOT_SERVED[reason]
    trained = model(copies(kind), "auto", verbose=1, **options).learn(96)
    assert f"Using the torch path, because {reason}" in capsys.readouterr().out
    assert trained._n_updates > 0


@pytest.mark.parametrize("callback", [None, look])
def test_an_observation_that_is_not_finite_stops_the_training(callback: Any) -> None:
    with pytest.raises(NonFiniteError, match="observation 'state' is nan at step"):
        model(copies(Broken)).learn(192, callback)

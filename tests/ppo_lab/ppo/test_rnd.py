"""Random network distillation (Spec 15.1): the bonus, its wrapper, and the second value head."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from benchmarks import exploration
from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError, NonFiniteError
from ppo_lab.ppo.callbacks import AfterUpdateEvalCallback
from ppo_lab.ppo.reward_streams import stream_estimates
from ppo_lab.ppo.rnd import RunningMoments
from ppo_lab.rnd import INTRINSIC_REWARD, RandomNetworkDistillation, VecRND, find_rnd

SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "seed": 0, "device": "cpu"}
LINE = spaces.Box(-1.0, 1.0, (2,))


def rooms(n_envs: int = 2, **kwargs: Any) -> Any:
    return make_vec_env("ppo_lab/FourRooms-v0", n_envs, seed=0, env_kwargs={"size": 5, **kwargs})


def states(module: Any) -> dict[str, th.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


def test_running_moments_are_those_of_sb3() -> None:
    ours, theirs = RunningMoments((3,)), RunningMeanStd(epsilon=0.0, shape=(3,))
    for size in (1, 4, 9):
        batch = np.random.default_rng(size).normal(2.0, 3.0, (size, 3))
        ours.update(batch)
        theirs.update(batch)
    assert ours.mean.numpy() == pytest.approx(theirs.mean)
    assert ours.variance.numpy() == pytest.approx(theirs.var)
    assert ours.count.item() == 14


def test_the_error_is_the_squared_distance_of_predictor_and_target() -> None:
    th.manual_seed(0)
    rnd = RandomNetworkDistillation(LINE, output_size=3)
    seen = np.array([[0.5, -0.5], [0.1, 0.2]], np.float32)
    rnd.observations.update(np.random.default_rng(0).normal(size=(50, 2)))
    white = (seen - rnd.observations.mean.numpy()) / np.sqrt(rnd.observations.variance.numpy())
    inputs = th.as_tensor(white, dtype=th.float32)
    with th.no_grad():
        expected = ((rnd.predictor(inputs) - rnd.target(inputs)) ** 2).sum(dim=1)
    assert rnd.errors(seen).detach().numpy() == pytest.approx(expected.numpy(), rel=1e-4)


def test_whitened_observations_are_clipped_at_five() -> None:
    rnd = RandomNetworkDistillation(LINE)
    rnd.observations.update(np.random.default_rng(0).normal(size=(50, 2)))
    far, farther = np.array([[1e3, -1e3]], np.float32), np.array([[1e6, -1e6]], np.float32)
    assert th.equal(rnd.errors(far), rnd.errors(farther))


def test_the_bonus_is_over_the_running_std_of_its_discounted_sum_which_no_end_cuts() -> None:
    rnd, carry = RandomNetworkDistillation(LINE), np.zeros(3)
    shadow, sums, rng = RunningMeanStd(epsilon=0.0, shape=()), np.zeros(3), np.random.default_rng(0)
    rnd.fit(rng.normal(size=(8, 2)).astype(np.float32), batch_size=8)
    for _ in range(5):
        seen = rng.normal(size=(3, 2)).astype(np.float32)
        bonus = rnd.bonus(seen, carry, gamma=0.5)
        raw = rnd.errors(seen).detach().double().numpy()
        sums = 0.5 * sums + raw
        shadow.update(sums)
        assert carry == pytest.approx(sums, rel=1e-6)
        assert bonus == pytest.approx(raw / np.sqrt(shadow.var + 1e-8), rel=1e-6)


def test_before_the_first_fit_there_is_no_bonus_and_between_two_the_whitening_stays() -> None:
    rnd, carry = RandomNetworkDistillation(LINE), np.zeros(2)
    seen = np.array([[0.5, -0.5], [0.1, 0.2]], np.float32)
    assert rnd.bonus(seen, carry, 0.9).tolist() == [0.0, 0.0]
    assert carry.tolist() == [0.0, 0.0]
    assert rnd.returns.count.item() == 0
    rnd.fit(seen, batch_size=2)
    rnd.bonus(10.0 * seen, carry, 0.9)
    assert rnd.observations.mean.tolist() == pytest.approx([0.3, -0.15])  # (0.5 + 0.1) / 2, …
    assert rnd.returns.count.item() == 2


def test_of_few_states_the_bonus_follows_every_change_of_networks_and_statistics() -> None:
    rnd, carry = RandomNetworkDistillation(spaces.Discrete(5)), np.zeros(3)
    seen = np.array([4, 0, 2])
    for _ in range(2):
        rnd.fit(seen, batch_size=2)
        expected = rnd.errors(seen).detach().double().numpy()
        bonus = rnd.bonus(seen, carry, 0.9)
        assert bonus * np.sqrt(rnd.returns.variance.item() + 1e-8) == pytest.approx(expected)
    rnd.load_state_dict(RandomNetworkDistillation(spaces.Discrete(5)).state_dict())
    rnd.observations.update(np.eye(5))
    with th.no_grad():
        assert rnd._errors_now(seen) == pytest.approx(rnd.errors(seen).numpy())


def test_a_critic_of_indices_is_that_of_their_one_hot_vectors() -> None:
    critic = SpecPPO("MlpPolicy", rooms(), intrinsic_coef=1.0, **SMALL).intrinsic_critic
    seen = np.arange(9)
    one_hot = th.eye(critic._space.n)[seen]  # type: ignore[attr-defined]
    expected = critic.head(critic.layers(one_hot)).detach().flatten()
    assert critic.values(seen).numpy() == pytest.approx(expected.numpy(), abs=1e-6)


def test_what_was_visited_becomes_known_and_the_target_stays() -> None:
    th.manual_seed(0)
    env = VecRND(rooms(), learning_rate=1e-3, n_epochs=4)
    target = states(env.rnd.target)
    env.reset()
    assert env.learn(batch_size=32) == 0.0  # nothing was reached yet
    losses = []
    for _ in range(30):
        for step in range(20):
            env.step(np.array([1, 1] if step % 2 else [3, 3]))  # right and left
        losses.append(env.learn(batch_size=32))
    there = int(env.venv.get_attr("state")[0])
    known, unknown = (env.rnd.errors(np.array([cell])).item() for cell in (there, 0))
    assert losses[-1] < 0.1 * losses[0]
    assert known < 0.1 * unknown
    assert all(th.equal(target[key], value) for key, value in states(env.rnd.target).items())


def test_rewards_observations_and_ends_pass_unchanged_and_infos_gain_the_bonus() -> None:
    plain, wrapped = rooms(), VecRND(rooms())
    np.testing.assert_array_equal(plain.reset(), wrapped.reset())
    rng = np.random.default_rng(0)
    for _ in range(250):
        actions = rng.integers(0, 4, 2)
        *expected, infos = plain.step(actions)
        *found, told = wrapped.step(actions)
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)
        for info, more in zip(infos, told, strict=True):
            assert more.keys() - info.keys() == {INTRINSIC_REWARD}


def test_the_state_that_ends_an_episode_is_the_one_that_the_bonus_is_for() -> None:
    class Ends(gym.Env[Any, Any]):
        observation_space, action_space = LINE, spaces.Discrete(2)

        def reset(self, **_: Any) -> Any:
            return np.zeros(2, np.float32), {}

        def step(self, _: Any) -> Any:
            return np.ones(2, np.float32), 0.0, True, False, {}

    env = VecRND(DummyVecEnv([Ends]))
    env.reset()
    env.step(np.array([0]))
    env.learn(batch_size=1)
    assert env.rnd.observations.mean.tolist() == [1.0, 1.0]


def test_intrinsic_returns_go_on_over_the_ends_of_episodes_and_others_do_not() -> None:
    rewards, ends = np.ones((3, 1), np.float32), np.array([[False], [True], [False]])
    zeros = th.zeros(3, 1)
    on = stream_estimates(rewards, zeros, th.tensor([8.0]), None, 0.5, 1.0, zeros)
    # 1 + ½(1 + ½(1 + ½ · 8)), and so on.
    assert on.returns.flatten().tolist() == [2.75, 3.5, 5.0]
    cut = stream_estimates(rewards, zeros, th.tensor([8.0]), ends, 0.5, 1.0, zeros)
    assert cut.returns.flatten().tolist() == [1.5, 1.0, 5.0]
    in_time = th.tensor([[0.0], [6.0], [0.0]])  # V of the state that a time limit cut
    truncated = stream_estimates(rewards, zeros, th.tensor([8.0]), ends, 0.5, 1.0, in_time)
    assert truncated.returns.flatten().tolist() == [3.0, 4.0, 5.0]


def test_the_advantage_is_the_extrinsic_one_plus_the_weighted_intrinsic_one() -> None:
    model = SpecPPO("MlpPolicy", rooms(), intrinsic_coef=3.0, **SMALL)
    noted: list[Any] = []
    combine = model._add_streams

    def noting(diagnostics: Any) -> None:
        before = model.rollout_buffer.advantages.copy()
        combine(diagnostics)
        noted.append((before, model.rollout_buffer.advantages.copy()))

    model._add_streams = noting  # type: ignore[method-assign]
    model.learn(32)
    before, after = noted[0]
    intrinsic = model._estimates["intrinsic"].advantages.numpy()
    assert after == pytest.approx(before + 3.0 * intrinsic, abs=1e-5)
    assert np.abs(intrinsic).max() > 0.01


def test_scores_are_extrinsic_and_who_plays_is_not_wrapped(tmp_path: Path) -> None:
    model = SpecPPO("MlpPolicy", rooms(), intrinsic_coef=1.0, **SMALL).learn(64)
    model.save(tmp_path / "model")
    env = rooms()
    loaded = SpecPPO.load(tmp_path / "model", env=env, device="cpu")
    mean, _ = evaluate_policy(loaded, env, 3)
    assert find_rnd(loaded.env) is None
    assert mean in (0.0, 1.0)  # what the exit pays, and nothing else


def test_an_evaluation_beside_the_training_needs_no_bonus() -> None:
    model = SpecPPO("MlpPolicy", rooms(), intrinsic_coef=1.0, **SMALL)
    evaluations = AfterUpdateEvalCallback(rooms(), n_eval_episodes=2, eval_freq=32)
    model.learn(64, evaluations)  # a warning that the environments differ would be an error
    assert find_rnd(evaluations.eval_env) is None


def test_predictor_statistics_and_head_go_on_as_saved(tmp_path: Path) -> None:
    model = SpecPPO("MlpPolicy", rooms(), intrinsic_coef=1.0, **SMALL).learn(96)
    model.save(tmp_path / "model")
    loaded = SpecPPO.load(tmp_path / "model", env=rooms(), device="cpu")
    for name in ("rnd", "intrinsic_critic"):
        one, other = states(getattr(model, name)), states(getattr(loaded, name))
        assert one.keys() == other.keys()
        assert all(th.equal(one[key], other[key]) for key in one)
        optimizers = (getattr(m, name).optimizer.state_dict()["state"] for m in (model, loaded))
        first, second = optimizers
        assert all(th.equal(first[i]["exp_avg"], second[i]["exp_avg"]) for i in first)
    assert loaded.rnd.observations.count.item() == 96
    loaded.learn(32, reset_num_timesteps=False)
    assert loaded.rnd.observations.count.item() == 128
    wrapper = find_rnd(loaded.env)
    assert wrapper is not None
    assert wrapper.rnd is loaded.rnd


def test_a_wrapper_of_ones_own_gives_its_networks_to_the_model(tmp_path: Path) -> None:
    env = VecRND(rooms(), net_arch=(8,), output_size=4)
    model = SpecPPO("MlpPolicy", env, intrinsic_coef=1.0, **SMALL).learn(32)
    assert model.rnd is env.rnd
    model.save(tmp_path / "model")
    again = VecRND(rooms(), net_arch=(8,), output_size=4)
    loaded = SpecPPO.load(tmp_path / "model", env=again, device="cpu")
    for key, value in states(model.rnd).items():
        assert th.equal(states(again.rnd)[key], value)
    assert loaded.rnd is again.rnd


def test_the_same_seed_gives_the_same_parameters() -> None:
    one, other = (
        SpecPPO("MlpPolicy", rooms(), intrinsic_coef=1.0, **SMALL).learn(64) for _ in range(2)
    )
    for a, b in zip(one.policy.parameters(), other.policy.parameters(), strict=True):
        assert th.equal(a, b)
    assert all(th.equal(states(one.rnd)[k], states(other.rnd)[k]) for k in states(one.rnd))


def test_it_goes_below_a_normalizer_whose_statistics_move() -> None:
    env = VecNormalize(rooms(observation="coordinates"))
    model = SpecPPO("MlpPolicy", env, intrinsic_coef=1.0, **SMALL).learn(32)
    assert isinstance(env.venv, VecRND)
    assert model.env is env
    # The raw coordinates of a 5 × 5 map: multiples of ½ within −1…1.
    assert model.rnd.observations.mean.abs().max() <= 1.0
    assert model.get_vec_normalize_env() is env


@pytest.mark.parametrize(
    "kind", ["image", "dict", "multi_discrete", "multi_binary", "frames", "continuous"]
)
def test_every_kind_of_observation_and_action_has_a_bonus(kind: str) -> None:
    class Some(gym.Env[Any, Any]):
        observation_space = {
            "image": spaces.Box(0, 255, (36, 36, 3), np.uint8),
            "dict": spaces.Dict({"a": spaces.Discrete(3), "b": LINE}),
            "multi_discrete": spaces.MultiDiscrete([2, 3]),
            "multi_binary": spaces.MultiBinary(4),
        }.get(kind, LINE)
        action_space = spaces.Box(-1.0, 1.0, (1,)) if kind == "continuous" else spaces.Discrete(2)

        def reset(self, **_: Any) -> Any:
            self.t = 0
            return self.observation_space.sample(), {}

        def step(self, _: Any) -> Any:
            self.t += 1
            return self.observation_space.sample(), 0.0, False, self.t == 5, {}

    env: Any = DummyVecEnv([Some, Some])
    env = VecFrameStack(env, 2) if kind == "frames" else env
    policy = {"image": "CnnPolicy", "dict": "MultiInputPolicy"}.get(kind, "MlpPolicy")
    model = SpecPPO(policy, env, intrinsic_coef=1.0, **{**SMALL, "n_steps": 8, "batch_size": 8})
    model.learn(16)
    assert model.rnd.observations.count.item() == 16


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"intrinsic_coef": -1.0}, "intrinsic_coef=-1.0: expected a finite number ≥ 0"),
        ({"intrinsic_coef": 1.0, "intrinsic_gamma": 1.0}, r"intrinsic_gamma=1.0: .*never end"),
        ({"rnd_kwargs": {"net_arch": [8]}}, "without intrinsic_coef: there is no RND"),
        ({"intrinsic_coef": 1.0, "rnd_kwargs": {"depth": 1}}, "with some of output_size, net_arch"),
        ({"intrinsic_coef": 1.0, "rnd_kwargs": {"output_size": 0}}, "output_size=0 of RND"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        SpecPPO("MlpPolicy", rooms(), **arguments, **SMALL)


def test_wrappers_in_an_order_that_cannot_work_are_refused() -> None:
    normalized = VecNormalize(rooms(observation="coordinates"))
    with pytest.raises(ArgumentError, match="VecRND around a VecNormalize, whose moving statis"):
        VecRND(normalized)
    with pytest.raises(ArgumentError, match="VecRND around a VecRND"):
        VecRND(VecRND(rooms()))
    model = SpecPPO("MlpPolicy", VecRND(rooms(), gamma=0.5), intrinsic_coef=1.0, **SMALL)
    with pytest.raises(ArgumentError, match=r"intrinsic_gamma=0.99 and a VecRND with gamma=0.5"):
        model.learn(32)


def test_a_reward_that_is_not_a_number_stops_the_training() -> None:
    class Breaks(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            observation, _, *rest = self.env.step(action)
            return observation, float("nan"), *rest

    env = make_vec_env("ppo_lab/FourRooms-v0", 2, env_kwargs={"size": 5}, wrapper_class=Breaks)
    with pytest.raises(NonFiniteError, match="reward is nan at step 2 in environment 0"):
        SpecPPO("MlpPolicy", env, intrinsic_coef=1.0, **SMALL).learn(32)


@pytest.mark.slow
def test_rnd_finds_the_distant_exit_on_every_seed_and_plain_ppo_does_not() -> None:
    # The optimum of FourRooms is 1: the exit's reward, 41 steps away of the 100 that there are.
    seeds = range(exploration.FIRST_SEED, exploration.FIRST_SEED + 10)
    plain = [exploration.train("ppo", seed).expected_return for seed in seeds]
    curious = [exploration.train("rnd", seed).expected_return for seed in seeds]
    assert max(plain) < 0.01
    assert min(curious) >= 0.9

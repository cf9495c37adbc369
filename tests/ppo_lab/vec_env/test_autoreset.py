"""Autoreset modes, and that what only reset a copy is in nothing that is learned or counted."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env import GymnasiumVecEnv, SampledVecNormalize
from tests.ppo_lab.vec_env.makers import over_disabled, over_next_step, over_sync

BACKENDS = pytest.mark.parametrize("backend", ["torch", "compiled"])
V, GAMMA = 8.0, 0.5


class Known(VectorEnv):
    """Step k of an episode pays k and shows k; copy 0 is cut after 3, copy 1 ends after 2.

    A copy whose episode ended is reset by its next step, which pays what no sample may have.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 - Gymnasium's way
    lengths = np.array([3, 2])

    def __init__(self, paid_on_reset: float = 100.0, image: bool = False):
        self.num_envs = 2
        self.paid_on_reset = paid_on_reset
        high = 255 if image else 9.0
        shape, dtype = ((36, 36, 1), np.uint8) if image else ((1,), np.float32)
        self.single_observation_space = spaces.Box(0, high, shape, dtype)
        self.single_action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.counts = np.zeros(2, int)
        return self._seen(), {"first": np.array([7, 7])}

    def step(self, actions):
        assert actions.shape == (2,)
        ended = self.counts == self.lengths
        self.counts = np.where(ended, 0, self.counts + 1)
        rewards = np.where(ended, self.paid_on_reset, self.counts)
        ends = self.counts == self.lengths
        cut = np.array([True, False])
        infos = {"first": self.counts, "_first": ended} if ended.any() else {}
        return self._seen(), rewards, ends & ~cut, ends & cut, infos

    def _seen(self):
        space = self.single_observation_space
        shape = (2, *(1 for _ in space.shape))
        return np.broadcast_to(self.counts.reshape(shape), (2, *space.shape)).astype(space.dtype)


class Same(gym.Env):
    """An environment of the same spaces, which nobody steps."""

    observation_space = spaces.Box(0, 9.0, (1,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}


def over_known(**kwargs):
    return GymnasiumVecEnv(Known(**kwargs))


def model_of(env, backend="torch", n_steps=7, **kwargs):
    """SpecPPO whose critic says V of everything."""
    settings = {"batch_size": 7, "n_epochs": 2, "gamma": GAMMA, "gae_lambda": 1.0, "seed": 0}
    model = SpecPPO("MlpPolicy", env, n_steps=n_steps, backend=backend, **{**settings, **kwargs})
    with th.no_grad():
        model.policy.value_net.weight.zero_()
        model.policy.value_net.bias.fill_(V)
    return model


def collected(model):
    """The model's buffer after one rollout, before an update."""
    _, callback = model._setup_learn(100)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return model.rollout_buffer


# ---------------------------------------------------------------------- what the steps return


def test_a_step_that_only_reset_is_told_and_nothing_of_it_is_counted():
    env = over_known()
    assert env.resets_by_steps
    np.testing.assert_array_equal(env.reset(), [[0], [0]])
    told, paid, ended, episodes = [], [], [], []
    for _ in range(8):
        _, rewards, dones, infos = env.step(np.zeros(2, int))
        told.append(env.sampled_rows().tolist())
        paid.append(rewards.tolist())
        ended.append(dones.tolist())
        episodes += [info["episode"] for info in infos if "episode" in info]
    # Copy 0: 1 2 3 reset 1 2 3 reset; copy 1: 1 2 reset 1 2 reset 1 2.
    assert paid == [[1, 1], [2, 2], [3, 0], [0, 1], [1, 2], [2, 0], [3, 1], [0, 2]]
    assert [row[0] for row in told] == [True, True, True, False, True, True, True, False]
    assert [row[1] for row in told] == [True, True, False, True, True, False, True, True]
    assert [row[0] for row in ended] == [False, False, True, False, False, False, True, False]
    # In order: copy 1 at steps 2, 5 and 8 with 1 + 2, copy 0 at steps 3 and 7 with 1 + 2 + 3.
    assert [(e["r"], e["l"]) for e in episodes] == [(3, 2), (6, 3), (3, 2), (6, 3), (3, 2)]
    assert env.reset_infos == [{"first": 0}, {"first": 0}]


@pytest.mark.parametrize("maker", [over_next_step, over_disabled])
def test_copies_that_can_be_reset_alone_step_as_in_mode_same_step(maker):
    ours, theirs = (make("CartPole-v1", 3, 5) for make in (maker, over_sync))
    assert not ours.resets_by_steps
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng, ended = np.random.default_rng(0), 0
    for _ in range(120):
        actions = rng.integers(2, size=3)
        mine, other = ours.step(actions), theirs.step(actions)
        for array, expected in zip(mine[:3], other[:3], strict=True):
            np.testing.assert_array_equal(array, expected)
        for info, expected in zip(mine[3], other[3], strict=True):
            np.testing.assert_equal({**info, "episode": 0}, {**expected, "episode": 0})
        assert ours.sampled.all()
        ended += mine[2].sum()
    assert ended >= 9


def test_an_unknown_autoreset_mode_is_refused():
    env = Known()
    env.metadata = {}
    with pytest.raises(ArgumentError, match=r"autoreset_mode None.*AutoresetMode"):
        GymnasiumVecEnv(env)


# ---------------------------------------------------------------------- what is learned


@BACKENDS
def test_targets_are_those_of_the_samples_alone(backend):
    buffer = collected(model_of(over_known(), backend))
    # γ = 1/2, λ = 1, V = 8: a cut episode and the rollout's end are worth 1/2 · 8 more.
    # Copy 0: 3 + 4 = 7, 2 + 7/2 = 5.5, 1 + 5.5/2 = 3.75; then again 3.75 5.5 7 after the reset.
    # Copy 1: 2, 1 + 2/2 = 2; the same; and at the rollout's end 1 + 4 = 5.
    kept = buffer.sampled
    assert kept.T.tolist() == [
        [True, True, True, False, True, True, True],
        [True, True, False, True, True, False, True],
    ]
    np.testing.assert_allclose(buffer.returns[:, 0][kept[:, 0]], [3.75, 5.5, 7, 3.75, 5.5, 7])
    np.testing.assert_allclose(buffer.returns[:, 1][kept[:, 1]], [2, 2, 2, 2, 5])
    samples = np.array([3.75, 5.5, 7, 3.75, 5.5, 7, 2, 2, 2, 2, 5])
    (batch,) = buffer.get()
    np.testing.assert_allclose(np.sort(batch.returns.numpy()), np.sort(samples))
    np.testing.assert_allclose(np.sort(batch.advantages.numpy()), np.sort(samples) - V)
    np.testing.assert_allclose(buffer.observations.ravel(), [0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0])


@pytest.mark.parametrize("estimator", ["mc", "td0", "nstep"])
@BACKENDS
def test_no_estimator_lets_credit_over_a_reset(backend, estimator):
    env = over_known()
    buffer = collected(model_of(env, backend, advantage_estimator=estimator, n_step=2))
    buffer.flatten()
    # One step: 1 + 4, 2 + 4, and 3 + 4 where cut or 2 where ended. Two: 1 + (2 + 4)/2, 2 + 7/2, …
    expected = {
        "mc": [3.75, 5.5, 7, 3.75, 5.5, 7, 2, 2, 2, 2, 5],
        "td0": [5, 6, 7, 5, 6, 7, 5, 2, 5, 2, 5],
        "nstep": [4, 5.5, 7, 4, 5.5, 7, 2, 2, 2, 2, 5],
    }[estimator]
    np.testing.assert_allclose(buffer.returns.ravel(), expected)


@pytest.mark.filterwarnings("ignore:batch_size=7 does not divide")
@BACKENDS
@pytest.mark.parametrize("over", ["minibatch", "rollout"])
@pytest.mark.parametrize("objective", ["clip", "adaptive_kl"])
def test_an_update_is_that_of_the_same_data_without_the_rows(backend, over, objective):
    settings = {"normalize_advantage_over": over, "objective": objective}
    masked = model_of(over_known(), backend, **settings)
    buffer = collected(masked)
    kept = buffer.swap_and_flatten(buffer.sampled).ravel()
    rows = {
        name: buffer.swap_and_flatten(getattr(buffer, name))[kept]
        for name in ("observations", "actions", "values", "log_probs", "advantages", "returns")
    }
    plain = model_of(DummyVecEnv([Same]), backend, n_steps=len(rows["returns"]), **settings)
    plain._setup_learn(100)
    plain.policy.load_state_dict(masked.policy.state_dict())
    for name, array in rows.items():
        getattr(plain.rollout_buffer, name)[:] = array.reshape(
            getattr(plain.rollout_buffer, name).shape
        )
    plain.rollout_buffer.full, plain.rollout_buffer.pos = True, len(rows["returns"])
    for model in (masked, plain):
        np.random.seed(3)  # noqa: NPY002 - what SB3 draws minibatches from
        model.train()
    moved = masked.policy.state_dict()
    for name, tensor in plain.policy.state_dict().items():
        assert tensor.equal(moved[name]), name
    assert masked.kl_coef == plain.kl_coef
    logged, other = (m.logger.name_to_value for m in (masked, plain))
    assert {k: v for k, v in logged.items() if k.startswith("train/")} == {
        k: v for k, v in other.items() if k.startswith("train/")
    }


@BACKENDS
def test_it_trains_on_in_an_environment_that_resets_by_steps(backend):
    env = GymnasiumVecEnv(gym.make_vec("CartPole-v1", 4, "vector_entry_point"))
    settings = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "seed": 1}
    model = SpecPPO("MlpPolicy", env, backend=backend, **settings).learn(4 * 64 * 4)
    # SB3's count of steps taken: those that reset are among them, and no sample.
    assert model.num_timesteps == 4 * 64 * 4
    assert 0.9 < model.rollout_buffer.sampled.mean() < 1.0
    assert len(model.rollout_buffer.returns) == model.rollout_buffer.sampled.sum()
    assert all(e["r"] == e["l"] for e in model.ep_info_buffer)  # 1 a step, and none for a reset


def test_rows_are_left_out_of_dictionaries_of_observations_too():
    class Two(Known):
        def __init__(self):
            super().__init__()
            box = self.single_observation_space
            self.single_observation_space = spaces.Dict({"a": box, "b": box})

        def _seen(self):
            seen = self.counts.reshape(2, 1).astype(np.float32)
            return {"a": seen, "b": 2 * seen}

    env = SampledVecNormalize(GymnasiumVecEnv(Two()), norm_obs=False, norm_reward=False)
    model = SpecPPO("MultiInputPolicy", env, n_steps=7, batch_size=7, n_epochs=1, seed=0)
    buffer = collected(model)
    batches = list(buffer.get(7))
    assert [len(batch.returns) for batch in batches] == [7, 4]
    np.testing.assert_allclose(
        buffer.observations["b"].ravel(), 2 * np.array([0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0])
    )
    model.train()


# ---------------------------------------------------------------------- statistics


def test_normalisation_takes_every_observation_and_reward_once():
    env = SampledVecNormalize(over_known(), gamma=GAMMA)
    env.reset()
    for _ in range(8):
        env.step(np.zeros(2, int))
        env.unwrapped.sampled_rows()
    # Shown as a step's start: 0 at both resets; copy 0: 1 2 | 0 1 2 | 0, copy 1: 1 | 0 1 | 0 1.
    # (What an episode ended with, 3 and 2, is the start of none.)
    seen = np.array([0, 0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0, 1])
    assert env.obs_rms.count == pytest.approx(len(seen), abs=2e-4)
    assert env.obs_rms.mean[0] == pytest.approx(seen.mean(), abs=1e-4)
    assert env.obs_rms.var[0] == pytest.approx(seen.var(), abs=1e-4)
    # Discounted sums: 1, 1/2 + 2 = 2.5, 1.25 + 3 = 4.25, twice; 1, 2.5, three times.
    sums = np.array([1, 2.5, 4.25, 1, 2.5, 4.25, 1, 2.5, 1, 2.5, 1, 2.5])
    assert env.ret_rms.count == pytest.approx(len(sums), abs=2e-4)
    assert env.ret_rms.mean == pytest.approx(sums.mean(), abs=1e-4)
    assert env.ret_rms.var == pytest.approx(sums.var(), abs=1e-4)


def test_normalisation_over_samples_alone_is_sb3s(tmp_path):
    ours, theirs = (
        kind(over_sync("CartPole-v1", 3, 4)) for kind in (SampledVecNormalize, VecNormalize)
    )
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    for _ in range(80):
        actions = rng.integers(2, size=3)
        mine, other = ours.step(actions), theirs.step(actions)
        for array, expected in zip(mine[:2], other[:2], strict=True):
            np.testing.assert_allclose(array, expected, rtol=1e-5)
    ours.save(str(tmp_path / "statistics.pkl"))
    loaded = SampledVecNormalize.load(str(tmp_path / "statistics.pkl"), over_sync("CartPole-v1", 3))
    np.testing.assert_array_equal(loaded.obs_rms.var, ours.obs_rms.var)


# ---------------------------------------------------------------------- refusals


def test_whoever_would_learn_from_resets_is_stopped():
    with pytest.raises(ArgumentError, match=r"NEXT_STEP.*SpecPPO.*SAME_STEP"):
        PPO("MlpPolicy", over_known(), n_steps=8, batch_size=8, device="cpu").learn(16)
    env = over_known()
    model = model_of(env)
    with pytest.raises(ArgumentError, match="SAME_STEP"):
        evaluate_policy(model, env, 3)
    with pytest.raises(ArgumentError, match="SAME_STEP"):
        PPO(
            "MlpPolicy", SampledVecNormalize(over_known()), n_steps=8, batch_size=8, device="cpu"
        ).learn(16)


@BACKENDS
@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (VecNormalize, "use ppo_lab.vec_env.SampledVecNormalize"),
        (VecMonitor, "VecMonitor counts every row.*notes episodes itself"),
        (lambda env: VecFrameStack(env, 2), "VecFrameStack counts every row.*SAME_STEP"),
    ],
)
def test_wrappers_that_would_count_resets_are_refused(wrap, message, backend):
    env = GymnasiumVecEnv(Known(), monitor=False)
    with pytest.raises(ArgumentError, match=message):
        model_of(wrap(env), backend).learn(14)


def test_pictures_may_be_transposed():
    env = VecTransposeImage(over_known(image=True))
    model = SpecPPO("CnnPolicy", env, n_steps=4, batch_size=4, n_epochs=1, seed=0)
    assert len(next(collected(model).get()).returns) == 6  # 8 rows, of which 2 reset


def test_rollouts_of_one_step_and_other_buffers_are_refused():
    with pytest.raises(ArgumentError, match=r"n_steps=1 .*at least 2"):
        model_of(over_known(), n_steps=1, batch_size=2).learn(2)

    class Own(RolloutBuffer):
        """Somebody's own."""

    with pytest.raises(ArgumentError, match="leave rollout_buffer_class out"):
        model_of(over_known(), rollout_buffer_class=Own).learn(14)


def test_only_our_adapter_can_be_beneath_its_normalisation():
    from stable_baselines3.common.env_util import make_vec_env

    with pytest.raises(ArgumentError, match="use SB3's VecNormalize"):
        SampledVecNormalize(make_vec_env("CartPole-v1"))


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_a_vector_environment_given_to_spec_ppo_points_to_the_adapter(mode):
    env = gym.make_vec("CartPole-v1", 2, mode)
    with pytest.raises(ArgumentError, match=r"pass ppo_lab\.vec_env\.GymnasiumVecEnv\(env\)"):
        SpecPPO("MlpPolicy", env)
    model = SpecPPO("MlpPolicy", GymnasiumVecEnv(gym.make_vec("CartPole-v1", 2, mode)))
    with pytest.raises(ArgumentError, match=r"GymnasiumVecEnv\(env\)"):
        model.set_env(env)

"""SpecPPO by the kernels: the torch path on the same rollout is the oracle."""

import copy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, CheckpointCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.rnd import find_rnd
from ppo_lab.vec_env import make_native_vec_env
from tests.ppo_lab.test_algorithm_drop_in import assert_equal_states

pytestmark = pytest.mark.filterwarnings("ignore:batch_size=40 does not divide the rollout")

SMALL: dict[str, Any] = {
    "n_steps": 48,
    "batch_size": 40,  # leaves a shorter last minibatch
    "n_epochs": 3,
    "seed": 3,
    "device": "cpu",
    "learning_rate": 1e-3,
}


class _Spaces(gym.Env[Any, Any]):
    """Random observations of a space, episodes of 7 steps, every other one truncated."""

    def __init__(self, observations: spaces.Space[Any], actions: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observations, actions
        self._steps = self._episodes = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action)
        self._steps += 1
        ends = self._steps == 7
        self._episodes += ends
        odd = self._episodes % 2 == 1
        reward = float(self.np_random.normal())
        return self.observation_space.sample(), reward, ends and odd, ends and not odd, {}


BOX = spaces.Box(-1.0, 1.0, (3,))
SPACES = {
    "Box to Discrete": (BOX, spaces.Discrete(4)),
    "Discrete to Discrete": (spaces.Discrete(5), spaces.Discrete(3)),
    "Box to Box": (BOX, spaces.Box(-0.5, 0.5, (2,))),
    "2-d Box to 2-d Box": (spaces.Box(-1, 1, (2, 3)), spaces.Box(-1, 1, (2, 2))),
    "float64 Box to MultiDiscrete": (
        spaces.Box(-1, 1, (3,), np.float64),
        spaces.MultiDiscrete([3, 2, 4]),
    ),
    "uint8 Box to float64 Box": (
        spaces.Box(0, 3, (4,), np.uint8),
        spaces.Box(-1, 1, (1,), np.float64),
    ),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "two rates, two limits": {
        "critic_learning_rate": 3e-3,
        "critic_max_grad_norm": 0.7,
        "max_grad_norm": 0.1,
    },
    "entropy, value clipping, rollout normalisation": {
        "ent_coef": 0.02,
        "vf_coef": 0.8,
        "clip_range_vf": 0.1,
        "normalize_advantage_over": "rollout",
    },
    "schedules": {"learning_rate": "lin_0.002", "clip_range": "lin_0.3", "clip_range_vf": 0.2},
    "target_kl": {"target_kl": 0.002, "learning_rate": 5e-3},
    "kl": {"objective": "kl", "kl_coef": 2.0, "ent_coef": 0.01},
    "adaptive_kl": {"objective": "adaptive_kl", "kl_coef": 0.5, "desired_kl": 0.001},
    "adaptive epsilon": {"adaptive_clip_range": (0.05, 0.4), "desired_kl": 0.001},
    "vanilla": {"objective": "vanilla", "n_epochs": 1},
    "mc": {"advantage_estimator": "mc"},
    "td0": {"advantage_estimator": "td0", "normalize_advantage": False},
    "nstep": {"advantage_estimator": "nstep", "n_step": 3},
    "REINFORCE": {"advantage_estimator": "mc", "use_baseline": False},
    "relu": {
        "policy_kwargs": {"activation_fn": th.nn.ReLU, "net_arch": {"pi": [17, 9], "vf": [33]}}
    },
    "linear": {"policy_kwargs": {"net_arch": []}},
    "value normalisation": {"normalize_value": True, "clip_range_vf": 0.1, "ent_coef": 0.01},
    "betas": {"policy_kwargs": {"optimizer_kwargs": {"betas": (0.8, 0.99), "eps": 1e-4}}},
}


class _Rows(KVWriter):
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        """Nothing to close."""


def model(env: VecEnv | str = "CartPole-v1", backend: Any = "compiled", **kwargs: Any) -> SpecPPO:
    if isinstance(env, str):
        env = make_vec_env(env, 2, seed=1)
    return SpecPPO("MlpPolicy", env, **(SMALL | kwargs), backend=backend)


def in_spaces(name: str) -> VecEnv:
    return make_vec_env(lambda: _Spaces(*SPACES[name]), 2, seed=0)


def assert_close(actual: Any, expected: Any, where: str = "") -> None:
    """Equal to 1e-5, and Adam's small moments to 1e-4 of their largest; through dictionaries."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key, value in expected.items():
            assert_close(actual[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
            assert_close(one, other, f"{where}[{index}]")
    elif isinstance(expected, th.Tensor):
        moments = "optimizer" in where
        allowed = 1e-4 * float(expected.abs().max()) if moments else 1e-5
        assert float((actual.cpu() - expected.cpu()).abs().max()) <= allowed, where
    else:
        assert actual == expected, where


def assert_same_updates(ours: SpecPPO, torch: SpecPPO, updates: int = 2) -> None:
    """Let both learn from the rollouts of the first, and compare all that they hold and log."""
    writers = []
    for each in (ours, torch):
        writers.append(_Rows())
        each.set_logger(Logger(None, [writers[-1]]))
    ours._setup_learn(10_000)
    torch._setup_learn(10_000)
    callback = ours._init_callback(None)
    for update in range(updates):
        ours._update_current_progress_remaining(update, updates)
        torch._update_current_progress_remaining(update, updates)
        buffer = ours.rollout_buffer
        assert ours.collect_rollouts(ours.env, callback, buffer, ours.n_steps)
        torch.rollout_buffer = copy.deepcopy(buffer)
        torch.rollout_buffer.device = torch.device
        if ours.streams:
            torch._recorder, torch._last_obs = ours._recorder, ours._last_obs
            if "intrinsic" in ours.streams:
                find_rnd(torch.env)._reached = list(find_rnd(ours.env)._reached)  # type: ignore[union-attr]
                torch.rnd.returns.load_state_dict(ours.rnd.returns.state_dict())
        for each in (ours, torch):
            np.random.seed(update)  # noqa: NPY002 - the minibatches' generator
            each.train()
            each.logger.dump()
    assert_close(ours.get_parameters(), torch.get_parameters())
    assert ours._n_updates == torch._n_updates
    assert ours.kl_coef == torch.kl_coef
    assert len(writers[0].rows) == updates
    for one, other in zip(writers[0].rows, writers[1].rows, strict=True):
        assert set(one) == set(other)
        for name, value in other.items():
            assert one[name] == pytest.approx(value, rel=2e-4, abs=2e-6), name


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("space", ["Box to Discrete", "Box to Box"])
def test_an_update_is_the_torch_paths_to_1e_5(options: dict[str, Any], space: str) -> None:
    ours = model(in_spaces(space), "compiled", **options)
    assert_same_updates(ours, model(in_spaces(space), "torch", **options))


@pytest.mark.parametrize("space", SPACES.keys())
def test_an_update_is_the_torch_paths_in_every_space(space: str) -> None:
    ours = model(in_spaces(space), "compiled", ent_coef=0.01)
    assert_same_updates(ours, model(in_spaces(space), "torch", ent_coef=0.01))


@pytest.mark.parametrize("space", SPACES.keys())
def test_a_rollout_holds_what_the_torch_policy_says_of_it(space: str) -> None:
    ours = model(in_spaces(space), gamma=0.9)
    ours._setup_learn(10_000)
    first = np.array(ours._last_obs)
    buffer = ours.rollout_buffer
    assert ours.collect_rollouts(ours.env, ours._init_callback(None), buffer, 48)
    assert buffer.full
    np.testing.assert_array_equal(buffer.observations[0].reshape(first.shape), first)
    # Episodes of 7 steps: starts at 0, 7, 14, …
    np.testing.assert_array_equal(np.flatnonzero(buffer.episode_starts[:, 1]), range(0, 48, 7))
    rewards, advantages = buffer.rewards.copy(), buffer.advantages.copy()
    with th.no_grad():
        last_values = ours.policy.predict_values(
            ours.policy.obs_to_tensor(np.array(ours._last_obs))[0]
        )
    buffer.compute_returns_and_advantage(last_values, np.array(ours._last_episode_starts))
    np.testing.assert_allclose(advantages, buffer.advantages, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(rewards, buffer.rewards)
    for batch in buffer.get():
        actions = batch.actions
        if isinstance(ours.action_space, spaces.Discrete):
            actions = actions.long().flatten()
        with th.no_grad():
            values, log_prob, _ = ours.policy.evaluate_actions(batch.observations, actions)
        th.testing.assert_close(values.flatten(), batch.old_values, rtol=1e-5, atol=1e-6)
        th.testing.assert_close(log_prob, batch.old_log_prob, rtol=1e-5, atol=1e-6)


class _OneEpisode(gym.Env[Any, Any]):
    """Observations 1, 2, 3, …; the reward is 10; cut after 4 steps."""

    observation_space, action_space = spaces.Box(-9, 9, (1,)), spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._at = 1
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> Any:
        self._at += 1
        return np.full(1, self._at, np.float32), 10.0, False, self._at == 5, {"is_success": True}


def test_a_truncated_step_carries_the_value_of_what_came_after() -> None:
    ours = model(make_vec_env(_OneEpisode, 1), n_steps=8, batch_size=8, gamma=0.5)
    ours._setup_learn(100)
    ours.collect_rollouts(ours.env, ours._init_callback(None), ours.rollout_buffer, 8)
    with th.no_grad():
        after = float(ours.policy.predict_values(th.tensor([[5.0]])))
    expected = [10, 10, 10, 10 + 0.5 * after] * 2
    np.testing.assert_allclose(ours.rollout_buffer.rewards[:, 0], expected, rtol=1e-6)
    assert [episode["r"] for episode in ours.ep_info_buffer or ()] == [40.0, 40.0]
    assert list(ours.ep_success_buffer or ()) == [True, True]


# ---------------------------------------------------------------- what others see


@pytest.mark.parametrize("estimator", ["mc", "td0", "nstep"])
def test_without_a_baseline_the_advantage_is_the_return_itself(estimator: Any) -> None:
    ours = model(advantage_estimator=estimator, use_baseline=False)
    ours.learn(1)
    buffer = ours.rollout_buffer
    assert np.abs(buffer.values).max() > 0
    np.testing.assert_array_equal(buffer.advantages, buffer.returns)
    with_baseline = model(advantage_estimator=estimator)
    with_baseline.learn(1)
    buffer = with_baseline.rollout_buffer
    np.testing.assert_array_equal(buffer.advantages, buffer.returns - buffer.values)


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_the_same_seed_gives_the_same_bits(env: str) -> None:
    first, second = (model(env).learn(480) for _ in range(2))
    assert_equal_states(second.get_parameters(), first.get_parameters())


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_a_native_environment_gives_the_same_bits_stepped_or_whole(env: str) -> None:
    """Three ways through the same numbers: SB3's environments, one call a step, one a rollout."""
    stepped = model(make_vec_env(env, 2, seed=1)).learn(480)
    native = model(make_native_vec_env(env, 2, seed=1)).learn(480, lambda _locals, _globals: True)
    whole = model(make_native_vec_env(env, 2, seed=1)).learn(480)
    assert_equal_states(native.get_parameters(), stepped.get_parameters())
    assert_equal_states(whole.get_parameters(), stepped.get_parameters())
    episodes = [
        [(e["r"], e["l"]) for e in m.ep_info_buffer or ()] for m in (stepped, native, whole)
    ]
    assert episodes[0] == episodes[1] == episodes[2] != []


def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(tmp_path: Path) -> None:
    trained = model().learn(192)
    trained.save(tmp_path / "model.zip")
    loaded = SpecPPO.load(tmp_path / "model.zip", env=make_vec_env("CartPole-v1", 2, seed=8))
    assert loaded.backend == "compiled"
    trained.set_env(make_vec_env("CartPole-v1", 2, seed=8))
    for each in (trained, loaded):
        each.set_random_seed(4)
        each.learn(192, reset_num_timesteps=False)
    assert_equal_states(loaded.get_parameters(), trained.get_parameters())
    steps = loaded.policy.critic_optimizer.state_dict()["state"][0]["step"]
    assert steps == 4 * 3 * 3  # updates, epochs, minibatches


def test_the_backend_may_change_between_two_calls_of_learn() -> None:
    """Optimiser states pass from one path to the other: both go on from the same place."""
    first, second = model(), model()
    first.learn(192)
    second.set_parameters(copy.deepcopy(first.get_parameters()))
    second._n_updates = first._n_updates
    second.backend = "torch"
    assert_same_updates(first, second, updates=1)
    second.backend = "compiled"
    assert_same_updates(second, first, updates=1)


def test_a_deep_copy_learns_on_its_own() -> None:
    original = model().learn(96)
    before = copy.deepcopy(original.get_parameters())
    copied = copy.deepcopy(original).learn(96, reset_num_timesteps=False)
    assert_equal_states(original.get_parameters(), before)
    assert not th.equal(copied.policy.action_net.weight, original.policy.action_net.weight)


def test_parameters_that_a_callback_sets_are_played_and_learned_from() -> None:
    class Zero(BaseCallback):
        def _on_rollout_start(self) -> None:
            with th.no_grad():
                for parameter in self.model.policy.parameters():
                    parameter.zero_()

        def _on_step(self) -> bool:
            return True

    trained = model(n_steps=64, batch_size=64).learn(64, Zero())
    # Nothing but the action's bias tells two actions apart: log ½ each.
    np.testing.assert_allclose(trained.rollout_buffer.log_probs, np.log(0.5), rtol=1e-6)
    assert np.all(trained.rollout_buffer.values == 0)


class _Counter(BaseCallback):
    """What a callback counts, noted at each of SB3's places; nothing at the steps themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[str, int, int]] = []

    def _note(self, place: str) -> None:
        self.noted.append((place, self.n_calls, self.num_timesteps))

    def _on_rollout_start(self) -> None:
        self._note("rollout start")

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._note("rollout end")
        self._note(str(sorted({"infos", "rewards", "dones"} & set(self.locals))))

    def _on_training_end(self) -> None:
        self._note("training end")


class _EveryStep(_Counter):
    def _on_step(self) -> bool:
        self._note("step")
        return True


@pytest.mark.parametrize("counter", [_Counter, _EveryStep])
def test_callbacks_are_called_and_count_as_on_the_torch_path(counter: type[_Counter]) -> None:
    noted = []
    for backend in ("torch", "compiled"):
        inner = counter()
        model(backend=backend).learn(192, CallbackList([CallbackList([inner])]))
        noted.append(inner.noted)
    assert noted[1] == noted[0]


def test_on_a_native_environment_callbacks_count_too() -> None:
    inner = _Counter()
    model(make_native_vec_env("CartPole-v1", 2, seed=0)).learn(192, inner)
    counts = [entry for entry in inner.noted if not entry[0].startswith("[")]
    assert counts == [
        ("rollout start", 0, 0),
        ("rollout end", 48, 96),
        ("rollout start", 48, 96),
        ("rollout end", 96, 192),
        ("training end", 96, 192),
    ]


@pytest.mark.parametrize("make", [make_vec_env, make_native_vec_env])
def test_a_callback_that_stops_the_training_stops_it_at_its_step(make: Any) -> None:
    trained = model(make("CartPole-v1", 2, seed=0))
    trained.learn(960, lambda locals_, _: locals_["self"].num_timesteps < 130)
    assert (trained.num_timesteps, trained._n_updates) == (130, 3)


def test_checkpoints_are_written_at_their_steps(tmp_path: Path) -> None:
    model().learn(192, CheckpointCallback(30, str(tmp_path)))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"rl_model_{steps}_steps.zip" for steps in (120, 180, 60)]


def test_vec_normalize_is_stepped_as_it_is() -> None:
    env = VecNormalize(make_vec_env("Pendulum-v1", 2, seed=0))
    model(env).learn(96)
    # Two resets' observations and 48 steps of two.
    assert env.obs_rms.count == pytest.approx(98, abs=0.01)


# ---------------------------------------------------------------- which path, and why

REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "gSDE": ("Pendulum-v1", {"use_sde": True}, "StateDependentNoiseDistribution"),
    "ELU": ("CartPole-v1", {"policy_kwargs": {"activation_fn": th.nn.ELU}}, "activation is ELU"),
    "RMSprop": (
        "CartPole-v1",
        {"policy_kwargs": {"optimizer_class": th.optim.RMSprop}},
        "optimiser is RMSprop",
    ),
    "decay": (
        "CartPole-v1",
        {"policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.1}}},
        "weight_decay=0.1",
    ),
    "MultiBinary": (
        lambda: _Spaces(BOX, spaces.MultiBinary(3)),
        {},
        "BernoulliDistribution",
    ),
}


@pytest.mark.parametrize(("env", "settings", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_kernels_cannot_serve_is_named_or_left_to_torch(
    env: Any, settings: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=f"backend='compiled'.*{reason}.*backend='auto'"):
        model(make_vec_env(env, 1), **settings)
    trained = model(make_vec_env(env, 1), "auto", verbose=1, **settings).learn(96)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Using the ")]
    assert len(said) == 1
    assert said[0].startswith("Using the torch path, because")
    assert reason in said[0]
    assert trained._n_updates == 6


def test_the_compiled_path_says_once_that_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    model(backend="auto", verbose=1).learn(192)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Using the ")]
    assert said == ["Using the compiled path: an MLP policy on the CPU"]


def test_a_subclass_with_a_loss_of_its_own_keeps_it() -> None:
    class Own(SpecPPO):
        def _losses(self, *args: Any) -> Any:
            seen.append(True)
            return super()._losses(*args)

    seen: list[bool] = []
    env = make_vec_env("CartPole-v1", 2, seed=1)
    Own("MlpPolicy", env, **SMALL).learn(96)
    assert seen
    with pytest.raises(ValueError, match="Own overrides _losses"):
        Own("MlpPolicy", env, **SMALL, backend="compiled")


def test_a_rollout_buffer_with_a_method_of_its_own_is_left_to_torch() -> None:
    trained = model(backend="auto")
    buffer, added = trained.rollout_buffer, []
    add = buffer.add
    buffer.add = lambda *a, **k: (added.append(1), add(*a, **k))  # type: ignore[method-assign]
    trained.learn(96)
    assert len(added) == 48
    trained.backend = "compiled"
    with pytest.raises(ValueError, match="the rollout buffer has a add of its own"):
        trained.learn(96)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="backend='cuda': expected one of 'auto', 'torch'"):
        model(backend="cuda")

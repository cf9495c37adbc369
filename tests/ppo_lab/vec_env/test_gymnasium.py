"""Gymnasium's vector environments as SB3's, beyond what ``test_contract`` asks of all."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.vec_env import GymnasiumVecEnv, make_native_vec_env
from tests.ppo_lab.vec_env.makers import over_arrays, over_sync

N = 5
SMALL = {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "device": "cpu"}


@pytest.fixture(params=[over_arrays, make_native_vec_env])
def make(request):
    """Arrays, and what make_native_vec_env makes in their place: compiled worlds."""
    return request.param


@pytest.mark.parametrize(
    ("env_id", "arguments"),
    [
        # Gymnasium cuts a slippery lake's probabilities to integers when it batches its infos.
        ("FrozenLake-v1", {"is_slippery": False}),
        ("Taxi-v4", {}),
        ("CartPole-v1", {}),
    ],
)
def test_over_gymnasiums_own_vector_environment_all_infos_agree(env_id, arguments):
    arguments = {**arguments, "max_episode_steps": 15}
    ours = over_sync(env_id, N, **arguments)
    theirs = make_vec_env(env_id, N, env_kwargs={"render_mode": None, **arguments})
    for env in (ours, theirs):
        env.seed(11)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    np.testing.assert_equal(ours.reset_infos, theirs.reset_infos)
    rng, ended = np.random.default_rng(1), 0
    for _ in range(60):
        actions = rng.integers(ours.action_space.n, size=N)
        *_, dones, infos = ours.step(actions)
        for info, expected in zip(infos, theirs.step(actions)[3], strict=True):
            np.testing.assert_equal({**info, "episode": 0}, {**expected, "episode": 0})
            assert ("episode" in info) == ("episode" in expected)
        np.testing.assert_equal(ours.reset_infos, theirs.reset_infos)
        ended += dones.sum()
    assert ended >= 3 * N


class Counting(gym.Env):
    """Observes the steps taken, as a dict; the third ends the episode."""

    action_space = spaces.Discrete(2)

    def __init__(self, inner=None):
        count = spaces.Box(0.0, 9.0, (1,))
        self.observation_space = spaces.Dict({"count": count, "inner": inner or count})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observation(), {}

    def step(self, action):
        self.count += 1
        return self._observation(), 1.0, self.count == 3, False, {}

    def _observation(self):
        return {name: np.array([self.count], np.float32) for name in ("count", "inner")}


def test_dict_observations_arrive_as_from_dummy_vec_env():
    ours = GymnasiumVecEnv(
        SyncVectorEnv([Counting] * 2, autoreset_mode=AutoresetMode.SAME_STEP), monitor=False
    )
    theirs = DummyVecEnv([Counting] * 2)
    np.testing.assert_equal(ours.reset(), theirs.reset())
    for _ in range(7):
        np.testing.assert_equal(ours.step(np.zeros(2, int)), theirs.step(np.zeros(2, int)))


class Noting(Counting):
    """Copy ``number`` notes every step whose number is its own."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def step(self, action):
        *rest, _ = super().step(action)
        return *rest, {"noted": self.number} if self.count == self.number else {}


def test_what_one_copy_says_is_in_its_own_info_alone():
    makers = [lambda number=number: Noting(number) for number in (1, 2, 3)]
    ours = GymnasiumVecEnv(
        SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP), monitor=False
    )
    theirs = DummyVecEnv(makers)
    for env in (ours, theirs):
        env.reset()
    noted = []
    for _ in range(4):
        infos, expected = (env.step(np.zeros(3, int))[3] for env in (ours, theirs))
        np.testing.assert_equal(infos, expected)
        noted.append([info.get("noted") for info in infos])
    assert noted == [[1, None, None], [None, 2, None], [None, None, 3], [1, None, None]]


def test_nested_observation_spaces_are_refused():
    inner = spaces.Dict({"count": spaces.Box(0.0, 9.0, (1,))})
    env = SyncVectorEnv([lambda: Counting(inner)], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ArgumentError, match=r"[Nn]ested"):
        GymnasiumVecEnv(env)


# ---------------------------------------------------------------------- infos


def test_an_info_that_is_shared_refuses_to_be_written_to(make):
    env = make("ppo_lab/GridWorld-v0", 2)
    env.reset()
    infos = env.step(np.array([0, 0]))[3]
    assert infos == [{"TimeLimit.truncated": False}] * 2
    for write in (
        lambda info: info.__setitem__("mine", 1),
        lambda info: info.update(mine=1),
        lambda info: info.setdefault("mine", 1),
        lambda info: info.pop("TimeLimit.truncated"),
        lambda info: info.__ior__({"mine": 1}),
        lambda info: info.clear(),
        lambda info: info.popitem(),
        lambda info: info.__delitem__("TimeLimit.truncated"),
    ):
        with pytest.raises(TypeError, match=r"infos\[i\] = dict\(infos\[i\]\)"):
            write(infos[0])
    assert env.step(np.array([0, 0]))[3] == [{"TimeLimit.truncated": False}] * 2


@pytest.mark.parametrize(
    "copied",
    [dict, copy.copy, copy.deepcopy, dict.copy, lambda info: pickle.loads(pickle.dumps(info))],
)
def test_a_copy_of_a_shared_info_is_an_ordinary_dict(copied, make):
    env = make("ppo_lab/GridWorld-v0", 2)
    env.reset()
    info = copied(env.step(np.array([0, 0]))[3][0])
    info["mine"] = 1
    assert type(info) is dict
    assert info == {"TimeLimit.truncated": False, "mine": 1}


def test_infos_of_ended_episodes_belong_to_their_environment_alone(make):
    env = make("ppo_lab/Crawler-v0", 3, max_episode_steps=2)
    env.reset()
    env.step(np.zeros(3, int))
    infos = env.step(np.zeros(3, int))[3]
    infos[0]["mine"] = 1
    infos[0]["episode"]["r"] = np.nan
    assert "mine" not in infos[1]
    assert infos[1]["episode"]["r"] == 0.0  # the arm only moves in the air
    env.step(np.zeros(3, int))
    assert "mine" not in env.step(np.zeros(3, int))[3][0]


# ---------------------------------------------------------------------- SB3 on top of it


@pytest.mark.parametrize(
    ("env_id", "policy", "arguments"),
    [
        ("ppo_lab/GridWorld-v0", "MlpPolicy", {"observation": "index"}),
        ("ppo_lab/Crawler-v0", "MlpPolicy", {"observation": "coordinates"}),
        ("ppo_lab/CrawlerContinuous-v0", "MlpPolicy", {}),
    ],
)
def test_our_algorithm_on_it_repeats_itself_on_dummy_vec_env(env_id, policy, arguments, make):
    def trained(env):
        model = SpecPPO(policy, env, seed=2, **SMALL).learn(2 * 32 * 4)
        return model.policy.state_dict(), [e["r"] for e in model.ep_info_buffer]

    arguments = {**arguments, "max_episode_steps": 20}
    expected, returns = trained(
        make_vec_env(env_id, 4, env_kwargs={"render_mode": None, **arguments})
    )
    actual, our_returns = trained(make(env_id, 4, **arguments))
    for name, tensor in expected.items():
        assert tensor.equal(actual[name]), name
    assert our_returns == pytest.approx(returns, abs=2e-6)
    assert len(returns) >= 8


def test_images_train_a_convolutional_policy():
    env = make_native_vec_env("ppo_lab/GridWorld-v0", 2, observation="image", max_episode_steps=5)
    model = SpecPPO("CnnPolicy", env, seed=0, **SMALL).learn(64)
    assert model.predict(env.reset())[0].shape == (2,)


def test_vec_monitor_counts_every_episode_once(tmp_path):
    kwargs = {"max_episode_steps": 4, "living_reward": -1.0}
    native = over_arrays("ppo_lab/GridWorld-v0", 2, monitor=False, **kwargs)
    assert native.env_is_wrapped(Monitor) == [False, False]
    env = VecMonitor(native, str(tmp_path / "0"))
    env.reset()
    infos = [env.step(np.array([2, 2]))[3] for _ in range(9)]
    episodes = [
        (t, info["episode"]) for t, row in enumerate(infos) for info in row if len(info) > 1
    ]
    assert [(t, e["r"], e["l"]) for t, e in episodes] == [(3, -4, 4)] * 2 + [(7, -4, 4)] * 2
    env.close()
    header, _, *rows = (tmp_path / "0.monitor.csv").read_text().splitlines()
    assert '"env_id": "ppo_lab/GridWorld-v0"' in header
    assert len(rows) == 4


def test_statistics_of_a_monitor_around_the_copies_are_kept():
    copies = [
        lambda: gym.wrappers.TransformReward(
            Monitor(gym.make("ppo_lab/Crawler-v0", max_episode_steps=3)), lambda reward: 0.0
        )
    ]
    env = GymnasiumVecEnv(SyncVectorEnv(copies, autoreset_mode=AutoresetMode.SAME_STEP))
    env.reset()
    # The hand goes down to the ground and pulls; the agent sees rewards of 0, the Monitor all.
    moved = [env.step(np.array([action])) for action in (1, 3, 3)]
    assert moved[-1][1].tolist() == [0.0]
    single = gym.make("ppo_lab/Crawler-v0")
    single.reset()
    expected = sum(single.step(action)[1] for action in (1, 3, 3))
    assert moved[-1][3][0]["episode"]["r"] == pytest.approx(expected, abs=1e-6)


def test_evaluation_sees_a_monitor_and_warns_of_nothing(tmp_path, make):
    env = make("ppo_lab/GridWorld-v0", 4, living_reward=-0.01)
    model = SpecPPO("MlpPolicy", env, seed=0, **SMALL)
    callback = EvalCallback(env, n_eval_episodes=8, eval_freq=16, log_path=str(tmp_path), verbose=0)
    model.learn(128, callback)
    returns, lengths = evaluate_policy(model, env, 8, return_episode_rewards=True)
    assert np.load(tmp_path / "evaluations.npz")["results"].shape == (2, 8)
    assert len(returns) == 8
    # A living reward of −0.01 a step but the last one, which pays the exit's ±1, if it comes.
    for total, length in zip(returns, lengths, strict=True):
        exits = [1.0 - 0.01 * (length - 1), -1.0 - 0.01 * (length - 1), -0.01 * length]
        assert min(abs(total - e) for e in exits) < 1e-6


def test_a_saved_model_and_its_normalisation_go_on_with_a_new_environment(tmp_path, make):
    def copies():
        return make("ppo_lab/CrawlerContinuous-v0", 4, max_episode_steps=20)

    env = VecNormalize(copies())
    model = SpecPPO("MlpPolicy", env, seed=0, **SMALL).learn(128)
    model.save(tmp_path / "model.zip")
    env.save(str(tmp_path / "normalize.pkl"))
    loaded_env = VecNormalize.load(str(tmp_path / "normalize.pkl"), copies())
    loaded = SpecPPO.load(tmp_path / "model.zip", env=loaded_env, device="cpu")
    np.testing.assert_array_equal(loaded_env.obs_rms.mean, env.obs_rms.mean)
    probe = np.array([[0.1, -1.0]], np.float32)
    np.testing.assert_array_equal(
        *(m.predict(probe, deterministic=True)[0] for m in (loaded, model))
    )
    assert loaded.learn(128).num_timesteps == 128


# ---------------------------------------------------------------------- the copies


def test_attributes_of_a_native_environment_are_each_copys_own_or_shared(make):
    env = make("ppo_lab/GridWorld-v0", 3)
    env.reset()
    env.step(np.array([0, 1, 2]))
    # From (1,1), state 7: up is (1,2), state 4; right is (2,1), state 8; down stays.
    assert env.get_attr("states") == [4, 8, 7]
    assert env.get_attr("steps", indices=[2, 0]) == [1, 1]
    assert env.get_attr("mdp", indices=1) == [env.env.unwrapped.mdp]
    assert env.get_attr("action_space") == [spaces.Discrete(4)] * 3
    assert not env.has_attr("nonsense")
    env.set_attr("states", 3, indices=[1])
    assert env.get_attr("states") == [4, 3, 7]
    env.set_attr("max_episode_steps", 7)
    assert env.get_attr("max_episode_steps") == [7, 7, 7]
    with pytest.raises(ArgumentError, match="'max_episode_steps' is one for all 3 copies"):
        env.set_attr("max_episode_steps", 9, indices=0)


def test_methods_of_a_native_environment_are_called_once_for_all():
    env = make_native_vec_env("ppo_lab/GridWorld-v0", 3, render_mode="ansi")
    env.reset()
    single = gym.make("ppo_lab/GridWorld-v0", render_mode="ansi")
    single.reset()
    assert env.env_method("render") == [single.render()] * 3
    assert env.env_method("__str__") == [str(env.env)] * 3
    with pytest.raises(ArgumentError, match=r"'render' is one for all 3 copies.*DummyVecEnv"):
        env.env_method("render", indices=[0])


def test_attributes_and_methods_of_single_environments_are_apart():
    env = over_sync("ppo_lab/GridWorld-v0", 3)
    env.reset()
    env.env_method("step", 0, indices=[1])
    assert env.get_attr("state") == [7, 4, 7]
    env.set_attr("mine", 5, indices=2)
    assert env.get_attr("mine", indices=2) == [5]
    assert not env.has_attr("mine")
    assert env.env_is_wrapped(gym.wrappers.TimeLimit) == [True] * 3
    assert env.env_is_wrapped(gym.wrappers.ClipReward, indices=[0]) == [False]
    assert env.env_is_wrapped(Monitor, indices=[0]) == [True]


def test_options_are_handed_on_once_and_one_for_all():
    class Noting(SyncVectorEnv):
        noted = ()

        def reset(self, *, seed=None, options=None):
            self.noted = (*self.noted, (seed, options))
            return super().reset(seed=seed, options=options)

    make = [lambda: gym.make("ppo_lab/GridWorld-v0")] * 2
    native = Noting(make, autoreset_mode=AutoresetMode.SAME_STEP)
    env = GymnasiumVecEnv(native)
    env.seed(1)
    env.set_options({"speed": 2})
    env.reset()
    env.reset()
    assert native.noted == ((1, {"speed": 2}), (None, None))
    env.set_options([{"speed": 2}, {"speed": 3}])
    with pytest.raises(ArgumentError, match="pass set_options one dict"):
        env.reset()


# ---------------------------------------------------------------------- refusals


def test_environments_in_other_processes_are_refused():
    env = gym.make_vec("CartPole-v1", 2, vectorization_mode="async")
    try:
        with pytest.raises(ArgumentError, match="use SB3's SubprocVecEnv"):
            GymnasiumVecEnv(env)
    finally:
        env.close()


def test_observations_overwritten_in_place_are_refused():
    kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP, "copy": False}
    with pytest.raises(ArgumentError, match="make it with copy=True"):
        GymnasiumVecEnv(gym.make_vec("CartPole-v1", 2, "sync", vector_kwargs=kwargs))


def test_a_single_environment_is_refused():
    with pytest.raises(ArgumentError, match=r"pass a gymnasium\.vector\.VectorEnv"):
        GymnasiumVecEnv(gym.make("CartPole-v1"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ppo_lab/GirdWorld-v0", 2), "'ppo_lab/GirdWorld-v0' cannot be made as 2 native copies"),
        (("CartPole-v1", 2), "autoreset_mode.*SB3's make_vec_env makes any"),
        (("Acrobot-v1", 2), "vector entry point.*SB3's make_vec_env makes any"),
        (("ppo_lab/GridWorld-v0", 0), "num_envs is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_made_natively_is_refused(arguments, message):
    # Pictures are what no compiled world makes.
    rendered = {"render_mode": "rgb_array"}
    with pytest.raises(ArgumentError, match=message):
        make_native_vec_env(*arguments, **rendered)


def no_world(*_arguments):
    raise NoWorldError("this test wants none")


def test_where_there_is_no_world_arrays_take_its_place(monkeypatch):
    monkeypatch.setattr("ppo_lab.vec_env.world_by_id._made", no_world)
    assert isinstance(make_native_vec_env("ppo_lab/GridWorld-v0", 2), GymnasiumVecEnv)

"""RecurrentPPO by the kernels: sb3-contrib's, on the same rollout, is the oracle."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import RecurrentPPO as TorchRecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import Logger

from ppo_lab import RecurrentPPO, SpecPPO
from ppo_lab.compiled.recurrent_path import flatten, minibatches, sorted_by_step
from ppo_lab.errors import ArgumentError, NonFiniteError
from tests.ppo_lab.compiled.test_path import BOX, _Rows, _Spaces, assert_close
from tests.ppo_lab.test_algorithm_drop_in import assert_equal_states

SMALL: dict[str, Any] = {
    "n_steps": 24,
    "batch_size": 20,  # leaves a shorter last minibatch, and cuts sequences
    "n_epochs": 3,
    "seed": 3,
    "device": "cpu",
    "learning_rate": 1e-3,
    "policy_kwargs": {"lstm_hidden_size": 64},
}
SPACES: dict[str, tuple[spaces.Space[Any], spaces.Space[Any]]] = {
    "Discrete": (BOX, spaces.Discrete(4)),
    "Box": (spaces.Discrete(5), spaces.Box(-0.5, 0.5, (2,))),
    "MultiDiscrete": (BOX, spaces.MultiDiscrete([3, 2])),
}
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "Discrete": ("Discrete", {}),
    "Box": ("Box", {"clip_range_vf": 0.1, "normalize_advantage": False}),
    "MultiDiscrete": ("MultiDiscrete", {"ent_coef": 0.02, "max_grad_norm": 0.1}),
    "a KL that stops": ("Discrete", {"target_kl": 1e-4, "learning_rate": 5e-3}),
    "linear": ("Discrete", {"policy_kwargs": {"lstm_hidden_size": 64, "net_arch": []}}),
}


def model(kind: Any = RecurrentPPO, space: str = "Discrete", **how: Any) -> Any:
    env = make_vec_env(lambda: _Spaces(*SPACES[space]), 2, seed=0)
    own = {"backend": "compiled"} if kind is RecurrentPPO else {}
    return kind("MlpLstmPolicy", env, **(SMALL | own | how))


@pytest.mark.slow
@pytest.mark.parametrize(("space", "how"), OPTIONS.values(), ids=OPTIONS.keys())
def test_an_update_is_sb3_contribs_to_1e_5(space: str, how: dict[str, Any]) -> None:
    ours, theirs = (model(kind, space, **how) for kind in (RecurrentPPO, TorchRecurrentPPO))
    writers = []
    for each in (ours, theirs):
        writers.append(_Rows())
        each.set_logger(Logger(None, [writers[-1]]))
        each._setup_learn(10_000)
    callback = ours._init_callback(None)
    for update in range(3):
        assert ours.collect_rollouts(ours.env, callback, ours.rollout_buffer, 24)
        theirs.rollout_buffer = copy.deepcopy(ours.rollout_buffer)
        for each in (ours, theirs):
            np.random.seed(update)  # noqa: NPY002 - where a rollout is cut
            each.train()
            each.logger.dump()
    assert_close(ours.get_parameters(), theirs.get_parameters())
    assert ours._n_updates == theirs._n_updates
    for one, other in zip(writers[0].rows, writers[1].rows, strict=True):
        assert set(one) == set(other)
        for name, value in other.items():
            assert one[name] == pytest.approx(value, rel=2e-4, abs=2e-6), name


@pytest.mark.slow
@pytest.mark.parametrize("space", ["Discrete", "Box"])
def test_a_rollout_holds_what_the_policy_says_of_it(space: str) -> None:
    ours = model(space=space, n_epochs=1)
    ours._setup_learn(1000)
    for _ in range(2):
        assert ours.collect_rollouts(ours.env, ours._init_callback(None), ours.rollout_buffer, 24)
    assert ours._path._acts
    rewards, advantages = ours.rollout_buffer.rewards, ours.rollout_buffer.advantages.copy()
    assert np.isfinite(rewards).all()
    for batch in ours.rollout_buffer.get(20):
        real = batch.mask > 0
        actions = batch.actions if space == "Box" else batch.actions.long().flatten()
        with th.no_grad():
            values, log_prob, _ = ours.policy.evaluate_actions(
                batch.observations, actions, batch.lstm_states, batch.episode_starts
            )
        close: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
        th.testing.assert_close(values.flatten()[real], batch.old_values[real], **close)
        th.testing.assert_close(log_prob[real], batch.old_log_prob[real], **close)
    assert np.abs(advantages).max() > 0


@pytest.mark.slow
def test_whoever_looks_at_every_step_lets_torch_act() -> None:
    seen: list[bool] = []

    def look(local: Any, _: Any) -> bool:
        seen.append("forward" in vars(local["self"].policy))
        return True

    ours = model().learn(48, look)
    assert seen == [False] * 24
    assert ours._n_updates == 3
    assert "forward" not in vars(ours.policy)


class _AtStart(BaseCallback):
    """Changes the policy once a rollout is about to begin."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def _on_rollout_start(self) -> None:
        self.change(self.model.policy)

    def _on_step(self) -> bool:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("exchanges", [False, True])
def test_what_a_callback_makes_of_the_policy_is_what_acts(exchanges: bool) -> None:
    """A critic whose last layer puts out 7 whatever it sees."""

    def change(policy: Any) -> None:
        if exchanges:
            policy.value_net = th.nn.Sequential(policy.value_net)
        with th.no_grad():
            layer = policy.value_net[0] if exchanges else policy.value_net
            layer.weight.zero_(), layer.bias.fill_(7.0)

    ours = model(backend="auto")
    ours._setup_learn(1000)
    callback = ours._init_callback(_AtStart(change))
    ours.collect_rollouts(ours.env, callback, ours.rollout_buffer, 24)
    assert ours._path._acts is not exchanges
    assert (ours.rollout_buffer.values == 7.0).all()


@pytest.mark.slow
def test_it_is_saved_loaded_played_and_gone_on_with(tmp_path: Path) -> None:
    ours = model().learn(96)
    ours.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=ours.env)
    assert loaded.backend == "compiled"
    assert_equal_states(loaded.get_parameters(), ours.get_parameters())
    TorchRecurrentPPO.load(tmp_path / "model")
    assert np.isfinite(evaluate_policy(loaded, ours.env, 3, warn=False)[0])
    for backend in ("torch", "compiled"):
        loaded.backend = backend
        loaded.learn(48)
    assert loaded.num_timesteps == 48


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = (model().learn(144) for _ in range(2))
    assert_equal_states(second.get_parameters(), first.get_parameters())


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_before_it_moves_anything() -> None:
    ours = model().learn(48)
    before = copy.deepcopy(ours.get_parameters())
    ours.rollout_buffer.returns[:] = np.inf
    with pytest.raises(NonFiniteError, match="loss"):
        ours.train()
    assert_equal_states(ours.get_parameters(), before)


def test_minibatches_and_sequences_are_those_of_the_buffer() -> None:
    theirs = model(TorchRecurrentPPO).learn(48)
    ours = copy.deepcopy(theirs.rollout_buffer)
    flatten(ours)
    np.random.seed(5)  # noqa: NPY002 - where the rollout is cut
    found = list(minibatches(ours, 20))
    np.random.seed(5)  # noqa: NPY002
    for (samples, begins), batch in zip(found, theirs.rollout_buffer.get(20), strict=True):
        real = batch.mask > 0
        np.testing.assert_array_equal(ours.returns.ravel()[samples], batch.returns[real])
        by_step, first, counts = sorted_by_step(begins)
        assert sorted(by_step.tolist()) == list(range(len(samples)))
        assert counts.sum() == len(samples)
        assert len(first) == counts[0] == batch.lstm_states.pi[0].shape[1]
        hidden = ours.hidden_states_pi[samples[first], 0]
        due = batch.lstm_states.pi[0][0].numpy()
        np.testing.assert_array_equal(np.sort(hidden, axis=None), np.sort(due, axis=None))


def test_sequences_are_sorted_by_length_and_their_samples_by_step() -> None:
    """Sequences of samples 0-1, 2-5 and 6-8: the longest first."""
    by_step, first, counts = sorted_by_step(np.isin(np.arange(9), (0, 2, 6)))
    assert first.tolist() == [2, 6, 0]
    assert counts.tolist() == [3, 3, 2, 1]
    assert by_step.tolist() == [2, 6, 0, 3, 7, 1, 4, 8, 5]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "width": ({"lstm_hidden_size": 100}, "lstm_hidden_size=100, .* multiples of 64"),
    "layers": ({"lstm_hidden_size": 64, "n_lstm_layers": 2}, "lstm_actor has num_layers=2"),
    "shared": (
        {"lstm_hidden_size": 64, "shared_lstm": True, "enable_critic_lstm": False},
        "lstm_critic is a NoneType",
    ),
    "ELU": ({"lstm_hidden_size": 64, "activation_fn": th.nn.ELU}, "activation is ELU"),
    "RMSprop": (
        {"lstm_hidden_size": 64, "optimizer_class": th.optim.RMSprop},
        "optimiser is RMSprop",
    ),
}


@pytest.mark.parametrize(("kwargs", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_kernels_cannot_serve_is_named_or_left_to_torch(
    kwargs: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArgumentError, match=f"backend='compiled' cannot serve .*{reason}"):
        model(policy_kwargs=kwargs)
    model(policy_kwargs=kwargs, backend="auto", verbose=1, n_steps=2, batch_size=4).learn(4)
    assert "Using the torch path, because" in capsys.readouterr().out


def test_spec_ppo_says_who_has_a_recurrent_policy() -> None:
    with pytest.raises(ArgumentError, match=r"'MlpLstmPolicy': .* ppo_lab\.RecurrentPPO"):
        SpecPPO("MlpLstmPolicy", "CartPole-v1")


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ArgumentError, match="backend='cuda': expected one of"):
        model(backend="cuda")

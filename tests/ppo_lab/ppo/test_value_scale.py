"""Value normalisation: what the critic learns, how it is read, and that it is kept (Spec 14.4)."""

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.value_scale import EPSILON, ScaledValue

SETTINGS: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 2, "device": "cpu"}


def model(**how: Any) -> SpecPPO:
    settings = SETTINGS | {"normalize_value": True, "seed": 1, "backend": "torch"} | how
    return SpecPPO("MlpPolicy", "Pendulum-v1", **settings)


def test_mean_and_variance_are_those_of_all_targets_so_far() -> None:
    rng, scale = np.random.default_rng(0), ScaledValue(th.nn.Identity())
    parts = [rng.normal(m, s, size) for m, s, size in ((3, 2, (8, 4)), (-50, 9, 30), (7, 0, 5))]
    for part in parts:
        scale.update(th.as_tensor(part, dtype=th.float32))
    every = np.concatenate([part.astype(np.float32).ravel() for part in parts]).astype(float)
    assert scale.count == 67
    assert scale.mean.item() == pytest.approx(every.mean(), rel=1e-12)
    assert scale.variance.item() == pytest.approx(every.var(), rel=1e-12)


def test_a_value_is_read_as_mu_plus_sigma_times_what_was_learned() -> None:
    scale = ScaledValue(th.nn.Identity())
    assert scale(th.tensor([[2.5]])).item() == 2.5  # before the first target
    scale.update(th.tensor([1.0, 5.0]))  # μ = 3, σ² = 4
    std = (4 + EPSILON) ** 0.5
    assert scale(th.tensor([[2.5]])).item() == pytest.approx(3 + 2.5 * std)
    assert scale.normalize(th.tensor([1.0, 3.0])).tolist() == pytest.approx([-2 / std, 0.0])


def test_constant_targets_are_learned_as_zero() -> None:
    scale = ScaledValue(th.nn.Identity())
    scale.update(th.full((9,), 4.0))
    assert scale.normalize(th.tensor([4.0])).item() == 0.0
    assert scale(th.tensor([[0.0]])).item() == 4.0


def test_the_loss_is_that_of_the_normalised_targets() -> None:
    trained = model(n_epochs=1)
    trained.learn(64)
    batch = next(trained.rollout_buffer.get(32))
    scale = trained.policy.value_net
    assert isinstance(scale, ScaledValue)
    returns = trained.rollout_buffer.returns
    assert scale.mean.item() == pytest.approx(returns.mean(), rel=1e-5)
    assert scale.std.item() == pytest.approx(returns.std(), rel=1e-4)
    features = trained.policy.mlp_extractor.forward_critic(batch.observations)
    learned = scale.layer(features).flatten()
    due = ((learned - (batch.returns - returns.mean()) / returns.std()) ** 2).mean()
    losses = trained._losses(batch, 0.2, None)
    assert losses.value_loss.item() == pytest.approx(due.item(), rel=1e-3)
    scale.layer.weight.grad = None
    losses.value_loss.backward()
    gradient = scale.layer.weight.grad.clone()
    scale.layer.weight.grad = None
    due.backward()
    np.testing.assert_allclose(gradient, scale.layer.weight.grad, rtol=1e-3, atol=1e-4)


def test_clipping_the_value_is_in_units_of_sigma() -> None:
    trained = model(n_epochs=1, clip_range_vf=0.1)
    trained.learn(64)
    batch = next(trained.rollout_buffer.get(64))
    scale = trained.policy.value_net
    assert isinstance(scale, ScaledValue)
    values = trained.policy.predict_values(batch.observations).flatten()
    learned, old, targets = map(scale.normalize, (values, batch.old_values, batch.returns))
    clipped = old + (learned - old).clamp(-0.1, 0.1)
    due = ((clipped - targets) ** 2).mean().item()
    assert trained._losses(batch, 0.2, 0.1).value_loss.item() == pytest.approx(due, rel=1e-5)


def test_targets_of_any_size_are_learned_alike() -> None:
    """Rewards times 1,000 with normalisation leave the learned layers as they were."""

    def layers(factor: float) -> Any:
        trained = model(ent_coef=0.0, max_grad_norm=1e9)
        buffer: Any = trained.rollout_buffer
        compute = buffer.compute_returns_and_advantage

        def larger(last_values: Any, dones: Any) -> None:
            buffer.rewards *= factor
            buffer.values[:] = 0.0
            compute(last_values * 0, dones)

        buffer.compute_returns_and_advantage = larger
        trained.learn(64)
        return trained.policy.value_net.layer.weight.detach().numpy()  # type: ignore[union-attr, operator]

    np.testing.assert_allclose(layers(1.0), layers(1000.0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("backend", ["torch", "compiled"])
def test_saving_and_loading_goes_on_as_if_nothing_had_been(tmp_path: Any, backend: Any) -> None:
    trained = model(backend=backend).learn(128)
    trained.save(tmp_path / "model.zip")
    loaded = SpecPPO.load(tmp_path / "model.zip", env=trained.get_env())
    assert loaded.normalize_value
    assert loaded.backend == backend
    np.random.seed(3), th.manual_seed(3)  # noqa: NPY002 - the generators that SB3 draws from
    ours = loaded
    ours.env.seed(5)  # type: ignore[union-attr]
    ours.learn(64, reset_num_timesteps=False)
    np.random.seed(3), th.manual_seed(3)  # noqa: NPY002
    trained.env.seed(5)  # type: ignore[union-attr]
    trained._last_obs = None
    trained.learn(64, reset_num_timesteps=False)
    for name, tensor in trained.policy.state_dict().items():
        assert tensor.equal(ours.policy.state_dict()[name]), name
    assert "value_net.mean" in trained.policy.state_dict()
    trained.policy.save(str(tmp_path / "policy"))
    policy = type(trained.policy).load(str(tmp_path / "policy"))
    seen = th.ones((2, 3))
    assert policy.predict_values(seen).equal(trained.policy.predict_values(seen))


def test_without_it_nothing_changes_and_with_it_the_scale_is_logged(capsys: Any) -> None:
    assert not isinstance(model(normalize_value=False).policy.value_net, ScaledValue)
    model(verbose=1, backend="auto").learn(128)
    said = capsys.readouterr().out
    assert "Using the compiled path" in said
    assert "target_mean" in said
    assert "target_std" in said


def test_it_goes_with_masks_and_with_an_asymmetric_critic() -> None:
    from ppo_lab.multi_agent import make_parallel_vec_env
    from tests.ppo_lab.multi_agent.games import Scripted

    steps = [("ab", {"a": 1.0, "b": 2.0}, "", "")] * 9 + [("", {"a": 9.0, "b": 9.0}, "ab", "")]
    env = make_parallel_vec_env(Scripted(steps), critic="central")
    assert isinstance(env.observation_space, spaces.Dict)
    critic = {"critic_only": ["state"]}
    trained = SpecPPO(
        "MultiInputPolicy", env, normalize_value=True, policy_kwargs=critic, seed=0, **SETTINGS
    )
    trained.learn(128)
    assert trained.policy.value_net.count == 128
    assert trained.policy_kwargs == critic


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"normalize_value": 1}, "normalize_value=1: expected True or False"),
        ({"policy_kwargs": {"normalize_value": True}}, "policy_kwargs has normalize_value"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(how: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        model(**{"n_steps": 64} | how) if "policy_kwargs" in how else SpecPPO(
            "MlpPolicy", "Pendulum-v1", **how
        )

    class Foreign(ActorCriticPolicy):
        """Not one of ours."""

    with pytest.raises(ArgumentError, match="normalize_value=True with policy Foreign"):
        SpecPPO(Foreign, "Pendulum-v1", normalize_value=True)

"""The objectives and normalisations from end to end: by hand, and as SB3's A2C."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_vec_env
from torch.distributions import Categorical

from ppo_lab import MlpPolicy, SpecPPO
from ppo_lab.errors import NonFiniteError
from ppo_lab.ppo import objectives as obj

N = 64


def rolled_out(**kwargs: Any) -> SpecPPO:
    """A model with a full rollout of 64 samples and a policy that has moved since: r ≠ 1."""
    settings: dict[str, Any] = {"n_steps": N, "batch_size": N, "n_epochs": 1, "seed": 4} | kwargs
    env = make_vec_env("CartPole-v1", 1, seed=0)
    model = SpecPPO("MlpPolicy", env, device="cpu", backend="torch", **settings)
    train, model.train = model.train, lambda: None  # type: ignore[method-assign]
    model.learn(N)
    model.train = train  # type: ignore[method-assign]
    generator = th.Generator().manual_seed(1)
    with th.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.05 * th.randn(parameter.shape, generator=generator)
    return model


def actor_gradient(model: SpecPPO) -> list[th.Tensor]:
    """Of the loss that the model makes of its whole rollout."""
    (batch,) = model.rollout_buffer.get(N)
    model.policy.zero_grad()
    model._losses(batch, 0.2, None).total.backward()  # type: ignore[no-untyped-call]
    assert isinstance(model.policy, MlpPolicy)
    return [p.grad.clone() for p in model.policy.actor_parameters() if p.grad is not None]


def by_hand(model: SpecPPO, loss: Any) -> list[th.Tensor]:
    """The actor's gradient of ``loss(logits, actions, buffer)``, from raw layers and arrays."""
    buffer, policy = model.rollout_buffer, model.policy
    assert isinstance(policy, MlpPolicy)
    observations = th.as_tensor(buffer.observations.reshape(N, 4))
    actions = th.as_tensor(buffer.actions.reshape(N)).long()
    logits = policy.action_net(policy.mlp_extractor.policy_net(observations))
    policy.zero_grad()
    loss(logits, actions, buffer).backward()
    return [p.grad.clone() for p in policy.actor_parameters() if p.grad is not None]


def assert_same_gradient(actual: list[th.Tensor], expected: list[th.Tensor]) -> None:
    assert len(actual) == len(expected) == 6  # three layers' weights and biases
    for one, other in zip(actual, expected, strict=True):
        th.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
        assert other.abs().max() > 1e-5


def test_vanilla_monte_carlo_without_baseline_is_reinforce() -> None:
    """∇J = mean over t of ∇ log π(a_t|s_t) · G_t, G_t = Σ γ^l r_{t+l} (Spec 5.1)."""
    model = rolled_out(
        objective="vanilla",
        advantage_estimator="mc",
        use_baseline=False,
        normalize_advantage=False,
        gamma=0.9,
    )

    def reinforce(logits: th.Tensor, actions: th.Tensor, buffer: Any) -> th.Tensor:
        starts = buffer.episode_starts.ravel()
        returns, tail = np.zeros(N), last_value
        for t in reversed(range(N)):
            ended = t + 1 < N and starts[t + 1]
            tail = buffer.rewards[t, 0] + 0.9 * (0.0 if ended else tail)
            returns[t] = tail
        one_hot = th.eye(2)[actions]
        log_prob = (one_hot * logits.log_softmax(-1)).sum(-1)
        return -(log_prob * th.as_tensor(returns, dtype=th.float32)).mean()

    # V of the state where the rollout was cut, as it was then: the policy has moved since.
    buffer = model.rollout_buffer
    last_value = (buffer.returns[-1, 0] - buffer.rewards[-1, 0]) / 0.9
    np.testing.assert_array_equal(buffer.advantages, buffer.returns)
    assert_same_gradient(actor_gradient(model), by_hand(model, reinforce))


@pytest.mark.parametrize("objective", ["kl", "adaptive_kl"])
def test_kl_objective_is_the_surrogate_less_beta_times_the_kl(objective: Any) -> None:
    """L = E[r Â] − β · E[(r − 1) − log r] (Spec 7.2, 7.6)."""
    model = rolled_out(objective=objective, kl_coef=3.0, normalize_advantage=False)

    def penalised(logits: th.Tensor, actions: th.Tensor, buffer: Any) -> th.Tensor:
        log_ratio = Categorical(logits=logits).log_prob(actions) - th.as_tensor(
            buffer.log_probs.ravel()
        )
        ratio = log_ratio.exp()
        advantages = th.as_tensor(buffer.advantages.ravel())
        return -(ratio * advantages).mean() + 3.0 * (ratio - 1 - log_ratio).mean()

    assert_same_gradient(actor_gradient(model), by_hand(model, penalised))


def test_entropy_and_clipped_surrogate_enter_the_actors_gradient() -> None:
    model = rolled_out(ent_coef=0.3, normalize_advantage=False)

    def clipped(logits: th.Tensor, actions: th.Tensor, buffer: Any) -> th.Tensor:
        distribution = Categorical(logits=logits)
        ratio = (distribution.log_prob(actions) - th.as_tensor(buffer.log_probs.ravel())).exp()
        advantages = th.as_tensor(buffer.advantages.ravel())
        worse = th.where(
            advantages >= 0, ratio.clamp(max=1.2), ratio.clamp(min=0.8)
        )  # the pessimistic side of Spec 6.1
        return -(worse * advantages).mean() - 0.3 * distribution.entropy().mean()

    assert_same_gradient(actor_gradient(model), by_hand(model, clipped))


A2C_SETTINGS: dict[str, Any] = {"n_steps": 16, "gamma": 0.95, "ent_coef": 0.01, "vf_coef": 0.4}


def _a2c(gae_lambda: float) -> A2C:
    model = A2C(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 2, seed=1),
        learning_rate=3e-3,
        use_rms_prop=False,
        gae_lambda=gae_lambda,
        normalize_advantage=False,
        seed=2,
        device="cpu",
        **A2C_SETTINGS,
    )
    return model.learn(32 * 6)


def _vanilla(**kwargs: Any) -> SpecPPO:
    model = SpecPPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 2, seed=1),
        learning_rate=3e-3,
        objective="vanilla",
        n_epochs=1,
        batch_size=32,
        normalize_advantage=False,
        seed=2,
        device="cpu",
        backend="torch",
        **A2C_SETTINGS,
        **kwargs,
    )
    return model.learn(32 * 6)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.9, 1.0])
def test_vanilla_of_one_epoch_is_sb3s_a2c_bit_for_bit(gae_lambda: float) -> None:
    expected, actual = _a2c(gae_lambda), _vanilla(gae_lambda=gae_lambda)
    for name, tensor in expected.policy.state_dict().items():
        assert th.equal(actual.policy.state_dict()[name], tensor), name


def test_vanilla_td0_of_one_epoch_is_sb3s_a2c_with_lambda_zero() -> None:
    """R̂ = (δ + V) there and r + γV' here: the same but for the last bit."""
    expected, actual = _a2c(0.0), _vanilla(advantage_estimator="td0")
    for name, tensor in expected.policy.state_dict().items():
        th.testing.assert_close(actual.policy.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)


class _SeenAdvantages:
    """Records what the clipped surrogate is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[th.Tensor] = []
        original = obj.clipped_surrogate

        def spy(ratio: th.Tensor, advantages: th.Tensor, clip_range: float) -> th.Tensor:
            self.seen.append(advantages.clone())
            return original(ratio, advantages, clip_range)

        monkeypatch.setattr(obj, "clipped_surrogate", spy)


def test_minibatch_normalisation_centres_every_minibatch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _SeenAdvantages(monkeypatch).seen
    rolled_out(batch_size=16, n_epochs=2).train()
    assert len(seen) == 8
    for advantages in seen:
        assert advantages.mean().item() == pytest.approx(0, abs=1e-6)
        assert advantages.std().item() == pytest.approx(1, rel=1e-5)


def test_rollout_normalisation_centres_the_rollout_and_no_minibatch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = _SeenAdvantages(monkeypatch).seen
    rolled_out(batch_size=16, n_epochs=2, normalize_advantage_over="rollout").train()
    for epoch in (seen[:4], seen[4:]):  # once, not once an epoch
        whole = th.cat(epoch)
        assert whole.mean().item() == pytest.approx(0, abs=1e-6)
        assert whole.std().item() == pytest.approx(1, rel=1e-5)
    assert max(abs(advantages.mean().item()) for advantages in seen) > 0.01


@pytest.mark.parametrize("over", ["minibatch", "rollout"])
def test_without_normalisation_advantages_stay_as_they_are(
    over: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _SeenAdvantages(monkeypatch).seen
    model = rolled_out(batch_size=16, normalize_advantage=False, normalize_advantage_over=over)
    raw = np.sort(model.rollout_buffer.advantages.ravel())
    model.train()
    np.testing.assert_array_equal(np.sort(th.cat(seen).numpy()), raw)


@pytest.mark.parametrize("estimator", ["gae", "mc", "td0", "nstep"])
def test_the_rollout_holds_the_targets_of_the_chosen_estimator(estimator: Any) -> None:
    model = rolled_out(advantage_estimator=estimator, n_step=3, gamma=0.9, gae_lambda=0.8)
    buffer = model.rollout_buffer
    rewards, values = buffer.rewards.ravel(), buffer.values.ravel()
    starts = buffer.episode_starts.ravel()
    t = int(np.flatnonzero(starts)[1]) - 4  # four steps before the first episode's end
    assert starts[t : t + 4].sum() == 0
    delta = [rewards[k] + 0.9 * values[k + 1] - values[k] for k in range(t, t + 3)]
    delta.append(rewards[t + 3] - values[t + 3])
    expected = {
        "gae": values[t] + sum(0.72**k * d for k, d in enumerate(delta)),
        "mc": sum(0.9**k for k in range(4)),  # CartPole pays 1 a step
        "td0": 1 + 0.9 * values[t + 1],
        "nstep": 1 + 0.9 + 0.81 + 0.729 * values[t + 3],
    }[estimator]
    assert buffer.returns[t, 0] == pytest.approx(expected, rel=1e-5)
    assert buffer.advantages[t, 0] == pytest.approx(expected - values[t], rel=1e-5)


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        # torch's distributions refuse it, or, without their checks, the update does: what has been
        # compiled in the process decides whether they check.
        ("torch", r"(broke down|update) at step 64.*lower the learning rate"),
        # The kernels meet the same ratios in the update, in their gradient.
        ("compiled", r"update at step 64.*actor_grad_norm nan.*lower the learning rate"),
    ],
)
def test_a_policy_that_broke_down_is_named_with_its_step_and_can_still_be_saved(
    backend: Any, said: str, tmp_path: Path
) -> None:
    """A rate of 1000 drives log σ of a Gaussian out of float's range in one update."""
    model = SpecPPO(
        "MlpPolicy",
        "Pendulum-v1",
        learning_rate=1e3,
        n_steps=64,
        batch_size=32,
        seed=0,
        device="cpu",
        backend=backend,
    )
    with pytest.raises(NonFiniteError, match=said):
        model.learn(512)
    model.save(tmp_path / "model.zip")
    SpecPPO.load(tmp_path / "model.zip", device="cpu")


def test_a_callbacks_own_value_error_stays_what_it_is() -> None:
    def refuse(_locals: dict[str, Any], _globals: dict[str, Any]) -> bool:
        raise ValueError("of the user's own")

    model = SpecPPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu")
    with pytest.raises(ValueError, match=r"^of the user's own$"):
        model.learn(64, callback=refuse)

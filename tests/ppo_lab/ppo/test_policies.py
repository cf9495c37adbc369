"""Spec 5.2 and 6.5: two optimisers, two learning rates, gradients clipped apart, a shared trunk."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from ppo_lab import MlpPolicy, SharedTrunk, SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.optimizers import GradientStep, optimizers_of
from ppo_lab.ppo.policies import split_optimizer_state, with_two_optimizers

TRUNK: dict[str, Any] = {
    "features_extractor_class": SharedTrunk,
    "features_extractor_kwargs": {"net_arch": [16, 8]},
    "net_arch": [],
}


def policy(**kwargs: Any) -> MlpPolicy:
    box = spaces.Box(-1, 1, (3,), np.float32)
    return MlpPolicy(box, spaces.Box(-1, 1, (2,), np.float32), lambda _: 1e-3, **kwargs)


def model(env: str = "CartPole-v1", **kwargs: Any) -> SpecPPO:
    settings: dict[str, Any] = {"n_steps": 64, "batch_size": 64, "n_epochs": 2, "seed": 3} | kwargs
    env_ = make_vec_env(env, 1, seed=0)
    return SpecPPO("MlpPolicy", env_, device="cpu", backend="torch", **settings)


def names(policy: ActorCriticPolicy, parameters: list[Any]) -> set[str]:
    chosen = {id(p) for p in parameters}
    return {name for name, p in policy.named_parameters() if id(p) in chosen}


def moved(policy: ActorCriticPolicy, before: dict[str, th.Tensor]) -> set[str]:
    after = policy.state_dict()
    return {name for name, tensor in before.items() if not th.equal(tensor, after[name])}


def copied(policy: ActorCriticPolicy) -> dict[str, th.Tensor]:
    return {name: tensor.clone() for name, tensor in policy.state_dict().items()}


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"share_features_extractor": False}, {"use_sde": True}, {"net_arch": []}, TRUNK],
    ids=str,
)
def test_every_parameter_belongs_to_exactly_one_optimiser(kwargs: dict[str, Any]) -> None:
    built = policy(**kwargs)
    held = [names(built, optimizer.param_groups[0]["params"]) for optimizer in optimizers_of(built)]
    assert held[0] | held[1] == {name for name, _ in built.named_parameters()}
    assert not held[0] & held[1]
    assert "log_std" in held[0]
    assert "value_net.weight" in held[1]


def test_networks_are_separate_by_default() -> None:
    built = policy()
    observations, actions = th.zeros(4, 3), th.zeros(4, 2)
    values, log_prob, _ = built.evaluate_actions(observations, actions)
    log_prob.sum().backward()
    assert all(p.grad is None for p in built.critic_parameters())
    built.zero_grad()
    values.sum().backward()
    assert all(p.grad is None for p in built.actor_parameters())


@pytest.mark.parametrize("frozen", ["actor", "critic"])
def test_each_learning_rate_moves_its_own_network_alone(frozen: str) -> None:
    rates = {"learning_rate": 1e-2, "critic_learning_rate": 1e-2}
    rates["learning_rate" if frozen == "actor" else "critic_learning_rate"] = 0.0
    trained = model("Pendulum-v1", **rates)
    before = copied(trained.policy)
    trained.learn(64)
    ours = trained.policy
    assert isinstance(ours, MlpPolicy)
    learning = ours.critic_parameters() if frozen == "actor" else ours.actor_parameters()
    assert moved(ours, before) == names(ours, learning)


def test_the_critic_follows_the_actors_learning_rate_by_default() -> None:
    trained = model(learning_rate=0.125).learn(64)
    rates = [o.param_groups[0]["lr"] for o in optimizers_of(trained.policy)]
    assert rates == [0.125, 0.125]


def with_gradients(actor_norm: float, critic_norm: float) -> MlpPolicy:
    """A policy whose gradients have these norms."""
    built = policy()
    for part, norm in (
        (built.actor_parameters(), actor_norm),
        (built.critic_parameters(), critic_norm),
    ):
        size = sum(p.numel() for p in part)
        for p in part:
            p.grad = th.full_like(p, norm / size**0.5)
    return built


def norms(built: MlpPolicy) -> tuple[float, float]:
    parts = built.actor_parameters(), built.critic_parameters()
    actor, critic = (nn.utils.get_total_norm([p.grad for p in part]).item() for part in parts)
    return actor, critic


@pytest.mark.parametrize(
    ("limits", "after"),
    [
        ((0.5, 2.0), (0.4, 2.0)),  # each by its own limit: 0.4 is under 0.5
        ((0.1, 500.0), (0.1, 210.0)),
        # Together: ‖(0.4, 210)‖ ≈ 210.0004, all times 0.5/210.0004: the actor's is all but gone.
        ((0.5, None), (0.4 * 0.5 / 210.00038, 0.5)),
    ],
)
def test_gradients_are_clipped_apart_or_together(
    limits: tuple[float, float | None], after: tuple[float, float]
) -> None:
    built = with_gradients(0.4, 210.0)
    before = GradientStep(built).clip(*limits)
    assert before == pytest.approx({"actor_grad_norm": 0.4, "critic_grad_norm": 210.0}, rel=1e-5)
    assert norms(built) == pytest.approx(after, rel=1e-4)


def test_training_clips_by_the_limits_it_was_given() -> None:
    trained = model("Pendulum-v1", max_grad_norm=0.01, critic_max_grad_norm=0.3, n_epochs=1)
    trained.learn(64)  # one minibatch: the gradients of its step are still there
    assert isinstance(trained.policy, MlpPolicy)
    assert norms(trained.policy) == pytest.approx((0.01, 0.3), rel=1e-3)
    logged = trained.logger.name_to_value
    assert logged["train/actor_grad_norm"] > 0.01
    assert logged["train/critic_grad_norm"] > 0.3


def test_a_shared_trunk_is_the_actors_and_learns_from_both_losses() -> None:
    built = policy(**TRUNK)
    trunk = {f"features_extractor.layers.{i}.{p}" for i in (1, 3) for p in ("weight", "bias")}
    assert trunk < names(built, built.actor_parameters())
    assert names(built, built.critic_parameters()) == {"value_net.weight", "value_net.bias"}
    observations, actions = th.ones(4, 3), th.ones(4, 2)
    for pick in (0, 1):  # the value, then the log probability
        built.zero_grad()
        built.evaluate_actions(observations, actions)[pick].sum().backward()
        for name, parameter in built.named_parameters():
            if name in trunk:
                assert parameter.grad is not None
                assert parameter.grad.abs().sum() > 0


def test_a_shared_trunk_is_one_network_with_two_heads() -> None:
    built = policy(**TRUNK)
    # 3·16 + 16, 16·8 + 8, the action's 8·2 + 2 and log std 2, the value's 8 + 1
    assert sum(p.numel() for p in built.parameters()) == 64 + 136 + 18 + 2 + 9
    assert built.features_dim == 8
    weight = built.features_extractor.layers[1].weight
    # Orthogonal with gain √2 like SB3's other layers: its 3 columns have length √2.
    th.testing.assert_close(weight.T @ weight, 2 * th.eye(3))


def test_a_model_with_a_shared_trunk_trains_and_its_trunk_moves_with_a_frozen_critic() -> None:
    trained = model(policy_kwargs=TRUNK, critic_learning_rate=0.0)
    before = copied(trained.policy)
    trained.learn(64)
    names_moved = moved(trained.policy, before)
    assert "value_net.weight" not in names_moved
    assert "features_extractor.layers.1.weight" in names_moved


@pytest.mark.parametrize(
    ("space", "net_arch"),
    [
        (spaces.Dict({"a": spaces.Discrete(2)}), [8]),
        (spaces.Box(-1, 1, (3,), np.float32), []),
    ],
)
def test_a_trunk_without_layers_or_on_a_dictionary_is_refused(
    space: spaces.Space[Any], net_arch: list[int]
) -> None:
    with pytest.raises(ArgumentError, match="SharedTrunk"):
        SharedTrunk(space, net_arch)


def test_split_optimiser_state_keeps_each_parameters_moments_under_its_new_number() -> None:
    group = {"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1, 2]}
    moments = {i: {"step": th.tensor(4.0), "exp_avg": th.tensor([float(i)])} for i in (0, 2)}
    whole = {"state": moments, "param_groups": [group]}
    first, second = split_optimizer_state(whole, [[2, 1], [0]])
    assert first["param_groups"] == [{**group, "params": [0, 1]}]
    assert second["param_groups"] == [{**group, "params": [0]}]
    assert first["state"][0]["exp_avg"].item() == 2
    assert 1 not in first["state"]  # a parameter that has not learned yet has no state
    second["state"][0]["exp_avg"].add_(7)
    assert moments[0]["exp_avg"].item() == 0  # a copy
    assert group["params"] == [0, 1, 2]


def test_only_sb3s_own_policies_get_two_optimisers() -> None:
    class Own(ActorCriticPolicy):
        pass

    assert with_two_optimizers(ActorCriticPolicy) is MlpPolicy
    assert with_two_optimizers(Own) is Own
    assert with_two_optimizers(MlpPolicy) is MlpPolicy


# ------------------------------------------------------ the known mistakes (Spec 5.3)


class _Bandit(gym.Env[Any, Any]):
    """One step, one state, three numbers as action; pays the first, +100 for all."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (3,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), 100 + float(action[0]), True, False, {}


def bandit(**kwargs: Any) -> SpecPPO:
    """A model whose rollout buffer is full and whose parameters are untouched."""
    settings: dict[str, Any] = {"n_steps": 256, "batch_size": 256, "n_epochs": 1} | kwargs
    built = SpecPPO("MlpPolicy", make_vec_env(_Bandit, 1, seed=0), device="cpu", seed=4, **settings)
    train, built.train = built.train, lambda: None  # type: ignore[method-assign]
    built.learn(256)
    built.train = train  # type: ignore[method-assign]
    return built


def one_loss(built: SpecPPO) -> Any:
    (batch,) = built.rollout_buffer.get(256)
    return built._losses(batch, 0.2, None)


def test_the_critics_loss_does_not_reach_the_actor_nor_the_actors_the_critic() -> None:
    built = bandit()
    assert isinstance(built.policy, MlpPolicy)
    losses = one_loss(built)
    losses.value_loss.backward(retain_graph=True)
    assert all(p.grad is None for p in built.policy.actor_parameters())
    built.policy.zero_grad()
    losses.objective.backward()
    # The advantage is a constant: a baseline still attached would pull the critic along.
    assert all(p.grad is None for p in built.policy.critic_parameters())


def test_the_loss_is_a_scalar_and_every_term_of_it() -> None:
    for objective in ("clip", "kl", "adaptive_kl", "vanilla"):
        losses = one_loss(bandit(objective=objective))
        for term in (losses.objective, losses.value_loss, losses.entropy, losses.total):
            assert term.shape == ()


def test_raw_returns_have_a_higher_variance_than_advantages() -> None:
    """Score times weight, per sample: the return of 100 swamps what the action changed."""
    variances = []
    for use_baseline in (False, True):
        built = bandit(
            advantage_estimator="mc",
            use_baseline=use_baseline,
            normalize_advantage=False,
        )
        if use_baseline:  # a baseline that has seen the returns
            with th.no_grad():
                built.policy.value_net.bias += float(built.rollout_buffer.returns.mean())
            values = built.rollout_buffer.values + built.rollout_buffer.returns.mean()
            built.rollout_buffer.values = values
            built.rollout_buffer.compute_returns_and_advantage(th.zeros(1), np.array([True]))
        weights = th.as_tensor(built.rollout_buffer.advantages.ravel())
        actions = th.as_tensor(built.rollout_buffer.actions.reshape(-1, 3))
        distribution = built.policy.get_distribution(th.ones(1, 1)).distribution
        scores = (actions - distribution.mean) / distribution.stddev**2  # ∂ log π/∂ mean
        variances.append((weights[:, None] * scores).var(dim=0).sum().item())
    assert variances[1] < variances[0] / 1000


def test_a_ratio_outside_the_clip_range_moves_the_actor_no_further() -> None:
    built = bandit(n_epochs=1, normalize_advantage=False)
    built.rollout_buffer.advantages = np.ones_like(built.rollout_buffer.advantages)
    built.rollout_buffer.log_probs = built.rollout_buffer.log_probs - 1.0  # every ratio is e
    losses = one_loss(built)
    assert losses.objective.item() == pytest.approx(1.2)  # (1 + ε) · 1
    losses.objective.backward()
    assert isinstance(built.policy, MlpPolicy)
    assert all(p.grad is None or not p.grad.any() for p in built.policy.actor_parameters())


def test_continuous_actions_are_a_gaussians_mean_and_samples_and_no_argmax() -> None:
    built = bandit().policy
    observation = th.ones(1, 1)
    with th.no_grad():
        built.action_net.bias.copy_(th.tensor([0.25, -0.5, 0.75]))
        built.action_net.weight.zero_()
        greedy = built(observation, deterministic=True)[0]
        sampled = th.cat([built(observation)[0] for _ in range(400)])
    th.testing.assert_close(greedy, th.tensor([[0.25, -0.5, 0.75]]))
    # 400 samples of σ = 1: a mean's standard error is 0.05.
    assert (sampled.mean(0) - greedy).abs().max() < 0.2
    assert (sampled.std(0) - 1).abs().max() < 0.15

"""Layers, hooks, parameters and optimisers that users exchange: SB3's PPO is the oracle."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import register_optimizer_step_post_hook

from ppo_lab import SpecPPO
from ppo_lab.compiled.path import CompiledPath
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.optimizers import optimizers_of
from ppo_lab.runs.compiled_evaluation import CompiledEvalCallback, can_evaluate
from ppo_lab.vec_env import make_native_vec_env

Model = PPO | SpecPPO
SMALL: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 16,
    "n_epochs": 2,
    "learning_rate": 1e-3,
    "seed": 3,
    "device": "cpu",
}


def model(kind: type[Any] = SpecPPO, env: str = "Pendulum-v1", **kwargs: Any) -> Any:
    return kind("MlpPolicy", make_vec_env(env, 1, seed=2), **(SMALL | kwargs))


class _Doubled(nn.Tanh):
    def forward(self, x: th.Tensor) -> th.Tensor:
        return 2 * super().forward(x)


def networks(m: Model) -> list[nn.Sequential]:
    return [m.policy.mlp_extractor.policy_net, m.policy.mlp_extractor.value_net]


def append(m: Model, layer: nn.Module) -> None:
    m.policy.mlp_extractor.policy_net = nn.Sequential(*networks(m)[0], layer)


def joint(m: Model, kind: type[th.optim.Optimizer] = th.optim.Adam, **options: Any) -> None:
    m.policy.optimizer = kind(m.policy.parameters(), lr=1e-3, **options)


def fresh_head(m: Model, name: str = "action_net") -> None:
    th.manual_seed(7)
    setattr(m.policy, name, nn.Linear(64, 1))


def sequential_head(m: Model) -> None:
    th.manual_seed(7)
    m.policy.action_net = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 1))
    joint(m)


def head_without_bias(m: Model) -> None:
    th.manual_seed(7)
    m.policy.action_net = nn.Linear(64, 1, bias=False)
    joint(m)


def normed(m: Model, norm: Callable[[nn.Module], Any]) -> None:
    th.manual_seed(7)
    norm(networks(m)[1][2])
    joint(m)


def halve(m: Model) -> None:
    layer = networks(m)[0][0]
    forward = layer.forward
    layer.forward = lambda x: 0.5 * forward(x)  # type: ignore[method-assign]


def judge_otherwise(m: Model) -> None:
    evaluate = m.policy.evaluate_actions

    def evaluate_actions(observations: Any, actions: Any) -> Any:
        values, log_prob, entropy = evaluate(observations, actions)
        return values * 1.1, log_prob, entropy

    m.policy.evaluate_actions = evaluate_actions  # type: ignore[method-assign]


def double_gradients(optimizer: Any, _args: Any, _kwargs: Any) -> None:
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        if parameter.grad is not None:
            parameter.grad.mul_(2)


def step_hooks(m: Model) -> None:
    for optimizer in optimizers_of(m.policy):
        optimizer.register_step_pre_hook(double_gradients)


def triple_gradient(parameter: th.Tensor) -> None:
    assert parameter.grad is not None
    parameter.grad.mul_(3)


def freeze(m: Model) -> None:
    for parameter in networks(m)[0].parameters():
        parameter.requires_grad = False


def freeze_and_replace(m: Model) -> None:
    freeze(m)
    moving = [p for p in m.policy.parameters() if p.requires_grad]
    m.policy.optimizer = th.optim.Adam(moving, lr=1e-3, eps=1e-5)


def two_groups(m: Model) -> None:
    heads = [*m.policy.action_net.parameters(), *m.policy.value_net.parameters()]
    known = {id(p) for p in heads}
    rest = [p for p in m.policy.parameters() if id(p) not in known]
    m.policy.optimizer = th.optim.Adam([{"params": heads}, {"params": rest}], eps=1e-5)


def share_a_layer(m: Model) -> None:
    networks(m)[1][0] = networks(m)[0][0]


def share_memory(m: Model) -> None:
    networks(m)[1][0].weight.data = networks(m)[0][0].weight.data


def scaled(_module: Any, gradients: Any, *_outputs: Any) -> Any:
    return tuple(None if g is None else 3 * g for g in gradients)


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a subclass of Tanh": (lambda m: networks(m)[0].__setitem__(1, _Doubled()), "is _Doubled"),
    "Tanh and ReLU": (lambda m: networks(m)[1].__setitem__(1, nn.ReLU()), "both Tanh and ReLU"),
    "a layer appended": (lambda m: append(m, nn.Softsign()), "policy_net.4. is a Softsign"),
    "LayerNorm": (lambda m: (append(m, nn.LayerNorm(64)), joint(m)), "is a LayerNorm"),
    "weight_norm": (lambda m: normed(m, nn.utils.parametrizations.weight_norm), "Parametrized"),
    "spectral_norm": (lambda m: normed(m, nn.utils.spectral_norm), "value_net.2. has forward"),
    "a Sequential head": (sequential_head, "action_net is a Sequential"),
    "a head without bias": (head_without_bias, "action_net is no plain Linear"),
    "a forward hook": (
        lambda m: m.policy.value_net.register_forward_hook(lambda _m, _i, out: 2 * out),
        "the value's head has forward or backward hooks",
    ),
    "a backward hook": (
        lambda m: m.policy.action_net.register_full_backward_hook(scaled),
        "action_net has forward or backward hooks",
    ),
    "a backward pre-hook": (
        lambda m: m.policy.value_net.register_full_backward_pre_hook(scaled),
        "the value's head has forward or backward hooks",
    ),
    "a gradient hook": (
        lambda m: m.policy.action_net.weight.register_hook(lambda g: 5 * g),
        "gradient hooks",
    ),
    "a hook after accumulation": (
        lambda m: m.policy.action_net.weight.register_post_accumulate_grad_hook(triple_gradient),
        "gradient hooks",
    ),
    "a layer's forward": (halve, "policy_net.0. has a forward of its own"),
    "evaluate_actions": (judge_otherwise, "the policy has a evaluate_actions of its own"),
    "a shared layer": (share_a_layer, "share their memory"),
    "shared memory": (share_memory, "share their memory"),
    "step hooks": (step_hooks, "policy.optimizer has hooks"),
    "a fresh action head": (fresh_head, "policy.optimizer does not hold just its network's"),
    "a fresh value head": (
        lambda m: fresh_head(m, "value_net"),
        "policy.critic_optimizer does not hold just its network's",
    ),
    "log_std": (
        lambda m: setattr(m.policy, "log_std", nn.Parameter(th.full((1,), -0.5))),
        "policy.optimizer does not hold just its network's",
    ),
    "a joint Adam": (joint, "holds the critic's parameters too"),
    "a joint SGD": (lambda m: joint(m, th.optim.SGD), "the optimiser is SGD"),
    "two parameter groups": (two_groups, "holds the critic's parameters too"),
    "fresh heads and a joint Adam": (
        lambda m: (fresh_head(m), fresh_head(m, "value_net"), joint(m)),
        "holds the critic's parameters too",
    ),
    "frozen layers": (freeze, "frozen"),
    "frozen layers and an Adam of the rest": (freeze_and_replace, "frozen"),
}
BY_NAME = pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES.keys())


def assert_same_policy(ours: Any, theirs: Any, atol: float = 0.0) -> None:
    expected, actual = theirs.policy.state_dict(), ours.policy.state_dict()
    assert list(actual) == list(expected)
    for name, tensor in expected.items():
        assert float((actual[name] - tensor).abs().max()) <= atol, name


@BY_NAME
def test_what_was_changed_before_learn_trains_as_in_ppo_bit_for_bit_and_is_named(
    change: Callable[[Any], Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = []
    for kind, verbose in ((SpecPPO, 1), (PPO, 0)):
        trained.append(model(kind, verbose=verbose))
        change(trained[-1])
        trained[-1].learn(64)
    assert_same_policy(*trained)
    said = [line for line in capsys.readouterr().out.splitlines() if "the torch path" in line]
    assert len(said) == 1
    strict = model()
    change(strict)
    strict.backend = "compiled"
    with pytest.raises(ArgumentError, match=f"backend='compiled'.*{reason}"):
        strict.learn(64)


def assert_same_update(ours: Any, theirs: Any) -> None:
    """Both learn from the rollout of the first, in the same order of its samples."""
    for each in (ours, theirs):
        each._setup_learn(100)
    buffer = ours.rollout_buffer
    assert ours.collect_rollouts(ours.env, ours._init_callback(None), buffer, ours.n_steps)
    theirs.rollout_buffer = copy.deepcopy(buffer)
    for each in (ours, theirs):
        np.random.seed(0)  # noqa: NPY002 - the minibatches' generator
        each.train()
    assert_same_policy(ours, theirs, 2e-5)


@BY_NAME
def test_what_was_changed_between_two_calls_of_learn_is_seen(
    change: Callable[[Any], Any], reason: str
) -> None:
    ours, theirs = model().learn(32), model(PPO)
    assert isinstance(ours._compiled_path(), CompiledPath)
    theirs.set_parameters({"policy": ours.policy.state_dict()}, exact_match=False)
    for optimizer in optimizers_of(ours.policy):
        optimizer.state.clear()  # as PPO's, which has not learned
    for each in (ours, theirs):
        change(each)
    assert_same_update(ours, theirs)
    assert ours._compiled_path() is None, reason


def test_networks_exchanged_for_other_plain_ones_go_on_by_the_kernels() -> None:
    ours = model().learn(32)
    for network in networks(ours):
        network[1], network[3] = nn.ReLU(), nn.ReLU()
    theirs = model(PPO)
    for network in networks(theirs):
        network[1], network[3] = nn.ReLU(), nn.ReLU()
    theirs.set_parameters({"policy": ours.policy.state_dict()}, exact_match=False)
    for optimizer in optimizers_of(ours.policy):
        optimizer.state.clear()
    assert_same_update(ours, theirs)
    assert isinstance(ours._compiled_path(), CompiledPath)


def test_a_method_replaced_in_the_model_or_in_a_class_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = model()
    ours._losses = lambda *_: None
    assert ours._compiled_path() is None
    ours = model()
    with monkeypatch.context() as patched:
        patched.setattr(nn.Linear, "forward", lambda _self, x: x)
        assert ours._compiled_path() is None
    with monkeypatch.context() as patched:
        patched.setattr(SpecPPO, "_step", lambda *_: None)
        assert ours._compiled_path() is None
    assert ours._compiled_path() is not None


def test_hooks_of_all_modules_or_all_optimisers_are_seen() -> None:
    ours = model()
    for register in (
        lambda: register_module_forward_hook(lambda _m, _i, out: out),
        lambda: register_optimizer_step_post_hook(lambda *_: None),
    ):
        handle = register()
        assert ours._compiled_path() is None
        handle.remove()
    assert ours._compiled_path() is not None


def test_a_parameter_beside_the_two_networks_is_left_to_torch() -> None:
    ours = model()
    ours.policy.temperature = nn.Parameter(th.ones(1))
    assert ours._compiled_path() is None


def test_adams_steps_that_differ_between_parameters_are_left_to_torch() -> None:
    ours = model().learn(32)
    bias = ours.policy.action_net.bias
    ours.policy.optimizer.state[bias]["step"] += 1
    assert ours._compiled_path() is None


# ---------------------------------------------------------------- each parameter once


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_a_joint_optimiser_moves_the_critic_once_a_minibatch(backend: Any) -> None:
    ours = model(backend=backend, n_epochs=1, batch_size=32, max_grad_norm=1e9)
    joint(ours)
    before = ours.policy.value_net.bias.item()
    ours.learn(32)
    # Adam's first step has the length of its rate, 1e-3; twice would be 2e-3.
    assert abs(ours.policy.value_net.bias.item() - before) == pytest.approx(1e-3, rel=1e-3)


def test_the_critics_group_added_to_the_actors_optimiser_makes_it_joint() -> None:
    ours = model(backend="torch", n_epochs=1, batch_size=32, max_grad_norm=1e9)
    ours.policy.optimizer.add_param_group({"params": ours.policy.critic_parameters()})
    before = ours.policy.value_net.bias.item()
    ours.learn(32)
    assert abs(ours.policy.value_net.bias.item() - before) == pytest.approx(1e-3, rel=1e-3)


def test_a_critic_optimiser_over_the_actor_too_is_refused_by_name() -> None:
    ours = model()
    ours.policy.critic_optimizer = th.optim.Adam(ours.policy.parameters(), lr=1e-3)
    with pytest.raises(ArgumentError, match=r"critic_optimizer holds parameters of policy\.opt"):
        ours.learn(32)


def test_the_critics_own_rate_cannot_be_kept_with_a_joint_optimiser() -> None:
    ours = model(critic_learning_rate=1e-2)
    joint(ours)
    with pytest.raises(ArgumentError, match="critic_learning_rate with a policy"):
        ours.learn(32)


def test_a_model_with_a_joint_optimiser_goes_on_from_its_file_as_ppo(tmp_path: Path) -> None:
    loaded = []
    for kind in (SpecPPO, PPO):
        trained = model(kind, **({"backend": "torch"} if kind is SpecPPO else {}))
        joint(trained, eps=1e-5)
        trained.learn(64).save(tmp_path / "model.zip")
        loaded.append(
            kind.load(tmp_path / "model.zip", make_vec_env("Pendulum-v1", 1, seed=5), device="cpu")
        )
        loaded[-1].set_random_seed(4)
        loaded[-1].learn(64, reset_num_timesteps=False)
    assert_same_policy(*loaded)


def test_states_of_two_optimisers_and_of_one_are_taken_by_a_joint_one() -> None:
    two = model().learn(32)
    one = model()
    joint(one)
    one.set_parameters(two.get_parameters())
    for optimizer in optimizers_of(two.policy):
        for ours, theirs in zip(two.policy.parameters(), one.policy.parameters(), strict=True):
            if ours in optimizer.state:
                moment = one.policy.optimizer.state[theirs]["exp_avg"]
                assert th.equal(moment, optimizer.state[ours]["exp_avg"])
    assert len(one.policy.optimizer.state) == 13
    again = model()
    joint(again)
    again.set_parameters(one.get_parameters())
    assert len(again.policy.optimizer.state) == 13
    other = model()
    two_groups(other)
    with pytest.raises(ArgumentError, match="cannot be given"):
        other.set_parameters(two.get_parameters())


def test_a_deep_copy_of_a_changed_model_learns_as_the_original() -> None:
    original = model().learn(32)
    joint(original)
    copied = copy.deepcopy(original)
    for each in (original, copied):
        each.set_env(make_vec_env("Pendulum-v1", 1, seed=8))
        each.set_random_seed(4)
        each.learn(32, reset_num_timesteps=False)
    assert_same_policy(copied, original)


# ---------------------------------------------------------------- in the middle of it


class _AtTheSecondRollout(BaseCallback):
    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.change, self.starts = change, 0

    def _on_rollout_start(self) -> None:
        self.starts += 1
        if self.starts == 2:
            self.change(self.model)

    def _on_step(self) -> bool:
        return True


def test_what_a_callback_exchanges_as_a_rollout_starts_is_played_and_learned_from() -> None:
    def pessimist(m: Any) -> None:
        m.policy.value_net.register_forward_hook(lambda _m, _i, out: out * 0 - 7)

    ours, callback = model(), _AtTheSecondRollout(pessimist)
    ours.learn(64, callback)
    assert callback.starts == 2
    assert np.all(ours.rollout_buffer.values == -7)
    assert "on_rollout_start" not in vars(callback)


def test_compiled_evaluation_goes_on_by_torch_where_the_policy_was_changed(tmp_path: Path) -> None:
    native = make_native_vec_env("CartPole-v1", 2, seed=1)
    ours = SpecPPO("MlpPolicy", make_native_vec_env("CartPole-v1", 1, seed=2), **SMALL)
    assert can_evaluate(ours, native, deterministic=True)

    def always_left(m: Any) -> None:
        m.policy.action_net.register_forward_hook(lambda _m, _i, out: out * 0 + th.eye(2)[0])

    evaluating = CompiledEvalCallback(
        native, eval_seed=3, n_eval_episodes=4, eval_freq=32, log_path=str(tmp_path), verbose=0
    )
    ours.learn(64, [_AtTheSecondRollout(always_left), evaluating])
    lengths = np.load(tmp_path / "evaluations.npz")["ep_lengths"]
    # Pushed one way alone, CartPole's pole falls in 8 to 11 steps.
    assert lengths.shape == (3, 4)
    assert lengths[-1].max() <= 11
    assert not can_evaluate(ours, native, deterministic=True)


def test_a_model_that_predicts_otherwise_is_not_evaluated_by_the_kernels() -> None:
    class Own(SpecPPO):
        def predict(self, *args: Any, **kwargs: Any) -> Any:
            return super().predict(*args, **kwargs)

    native = make_native_vec_env("CartPole-v1", 2, seed=1)
    assert not can_evaluate(Own("MlpPolicy", native, **SMALL), native, deterministic=True)

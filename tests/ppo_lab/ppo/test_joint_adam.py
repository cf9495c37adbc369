"""One Adam over actor and critic takes the steps of two, on their own states."""

import copy
from typing import Any

import pytest
import torch as th

from ppo_lab.ppo.joint_adam import as_one_step

SHAPES = ((5, 3), (5,), (1,), (33, 7))


def _parameters(seed: int) -> list[th.nn.Parameter]:
    generator = th.Generator().manual_seed(seed)
    return [th.nn.Parameter(th.randn(shape, generator=generator)) for shape in SHAPES]


def _set_gradients(parameters: list[th.nn.Parameter], seed: int) -> None:
    generator = th.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = th.randn(parameter.shape, generator=generator)


def _pair(**options: Any) -> list[th.optim.Adam]:
    return [th.optim.Adam(_parameters(seed), **options) for seed in (0, 1)]


def _all_of(optimizers: list[th.optim.Adam]) -> list[th.nn.Parameter]:
    return [p for optimizer in optimizers for p in optimizer.param_groups[0]["params"]]


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 1e-2, "eps": 1e-5},
        {"lr": 1e-3, "weight_decay": 0.1, "betas": (0.8, 0.9)},
        {"lr": 1e-2, "amsgrad": True},
    ],
)
def test_parameters_and_states_are_those_of_steps_apart(options: dict[str, Any]) -> None:
    joint, apart = _pair(**options), _pair(**options)
    for step in range(4):
        follow = as_one_step(joint)  # anew for each update, as training does
        _set_gradients(_all_of(joint), step)
        _set_gradients(_all_of(apart), step)
        follow()
        for optimizer in apart:
            optimizer.step()
    for ours, expected in zip(_all_of(joint), _all_of(apart), strict=True):
        assert th.equal(ours, expected)
    for one, other in zip(joint, apart, strict=True):
        states = one.state_dict()["state"], other.state_dict()["state"]
        assert states[0].keys() == states[1].keys()
        for index, state in states[0].items():
            assert all(th.equal(state[key], states[1][index][key]) for key in state)
        assert one.state_dict()["param_groups"] == other.state_dict()["param_groups"]


def test_a_rate_below_zero_is_followed_as_by_steps_apart() -> None:
    joint, apart = _pair(lr=1e-2), _pair(lr=1e-2)
    for optimizer in (*joint, *apart):  # what SB3 sets where the last rollout overshoots
        optimizer.param_groups[0]["lr"] = -1e-4
    for optimizers in (joint, apart):
        _set_gradients(_all_of(optimizers), 0)
    as_one_step(joint)()
    for optimizer in apart:
        optimizer.step()
    for ours, expected in zip(_all_of(joint), _all_of(apart), strict=True):
        assert th.equal(ours, expected)


def test_states_that_were_loaded_go_on() -> None:
    joint, apart = _pair(lr=1e-2), _pair(lr=1e-2)
    _set_gradients(_all_of(apart), 0)
    for optimizer, twin in zip(apart, joint, strict=True):
        optimizer.step()
        twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    before = [p.detach().clone() for p in _all_of(apart)]
    with th.no_grad():
        for parameter, value in zip(_all_of(joint), before, strict=True):
            parameter.copy_(value)
    for optimizers in (joint, apart):
        _set_gradients(_all_of(optimizers), 1)
    as_one_step(joint)()
    for optimizer in apart:
        optimizer.step()
    assert all(th.equal(a, b) for a, b in zip(_all_of(joint), _all_of(apart), strict=True))


def test_rates_apart_are_followed_apart() -> None:
    optimizers = _pair(lr=1e-2)
    optimizers[1].param_groups[0]["lr"] = 0.0
    parameters = _all_of(optimizers)
    before = [p.detach().clone() for p in parameters]
    _set_gradients(parameters, 0)
    as_one_step(optimizers)()
    moved = [not th.equal(p, old) for p, old in zip(parameters, before, strict=True)]
    assert moved == [True] * len(SHAPES) + [False] * len(SHAPES)


def test_whoever_listens_to_an_optimiser_hears_its_steps() -> None:
    optimizers, heard = _pair(lr=1e-2), []
    optimizers[1].register_step_post_hook(lambda *arguments: heard.append("hook"))
    _set_gradients(_all_of(optimizers), 0)
    as_one_step(optimizers)()
    assert heard == ["hook"]
    scheduled = _pair(lr=1e-2)
    scheduler = th.optim.lr_scheduler.StepLR(scheduled[0], 1)
    _set_gradients(_all_of(scheduled), 0)
    as_one_step(scheduled)()
    scheduler.step()  # warns, an error here, where the optimiser's own step was not called before
    assert scheduled[0].param_groups[0]["lr"] == pytest.approx(1e-3)

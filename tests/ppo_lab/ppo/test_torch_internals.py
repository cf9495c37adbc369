"""Names of torch's own: what they spare, and what happens where a torch does not have them."""

import subprocess
import sys

import pytest
import torch as th

from ppo_lab import SpecPPO
from ppo_lab.compiled import choice, plain_policy
from ppo_lab.compiled.choice import why_not_compiled
from ppo_lab.compiled.player import Player
from ppo_lab.ppo import torch_internals
from ppo_lab.ppo.policies import parameters_within
from ppo_lab.ppo.torch_internals import (
    GLOBAL_MODULE_HOOKS,
    GLOBAL_OPTIMIZER_HOOKS,
    MARK,
    copy_all,
    live_parts,
    no_compiler_import,
    own_modules,
    uncompiled,
)

COMPILED_RUN = """
import sys
from ppo_lab import SpecPPO

model = SpecPPO("MlpPolicy", "CartPole-v1", n_steps=64, seed=0, backend="compiled")
model.learn(128)
model.save(sys.argv[1])
SpecPPO.load(sys.argv[1]).predict([0.0, 0.0, 0.0, 0.0])
print(*sorted({"torch._dynamo", "numba.np.npyimpl", "scipy.sparse"} & sys.modules.keys()))
"""


def imported_by_a_compiled_run(folder):
    command = [sys.executable, "-c", COMPILED_RUN, str(folder / "model.zip")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1].split()


def test_a_compiled_run_imports_neither_torchs_compiler_nor_once_cached_numbas(tmp_path):
    imported_by_a_compiled_run(tmp_path)  # compiles, where nothing has been compiled yet
    assert imported_by_a_compiled_run(tmp_path) == []


def test_an_optimizer_made_without_the_compiler_steps_saves_and_loads_as_any_other():
    weights = [th.nn.Parameter(th.ones(2)) for _ in range(2)]
    with no_compiler_import():
        light = th.optim.Adam([weights[0]], lr=0.1)
    usual = th.optim.Adam([weights[1]], lr=0.1)
    for weight, optimizer in zip(weights, (light, usual), strict=True):
        weight.grad = th.tensor([1.0, -2.0])
        optimizer.step()
    assert th.equal(*weights)
    with no_compiler_import():
        state = light.state_dict()
        usual.load_state_dict(state)
    assert th.equal(usual.state[weights[1]]["exp_avg"], light.state[weights[0]]["exp_avg"])


def test_torchs_marks_are_as_before_after_an_error_too():
    script = """
import torch as th
from ppo_lab.ppo.torch_internals import MARK, no_compiler_import

bare = th.optim.Optimizer.state_dict.__wrapped__
try:
    with no_compiler_import():
        assert hasattr(bare, MARK)
        raise KeyError
except KeyError:
    pass
assert not hasattr(bare, MARK)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_where_the_compiler_is_imported_already_its_marks_stay():
    import torch._dynamo  # noqa: F401 - what the test is about

    bare = th.optim.Optimizer.state_dict.__wrapped__
    before = getattr(bare, MARK, None)
    with no_compiler_import():
        assert getattr(bare, MARK, None) is before


# ------------------------------------------------------------------ a torch without these names


def compiled_model() -> SpecPPO:
    return SpecPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, seed=0, device="cpu")


def why_torch(model: SpecPPO) -> str | None:
    return why_not_compiled(model, None)


@pytest.mark.parametrize("name", ["PARAMETERS", "MODULES"])
def test_without_a_modules_dictionaries_the_public_methods_say_the_same(name, monkeypatch):
    model = compiled_model()
    policy = model.policy
    before = [id(p) for p in parameters_within(policy)]
    assert why_torch(model) is None
    monkeypatch.setattr(torch_internals, name, "_gone")
    assert (
        [id(p) for p in parameters_within(policy)] == before == [id(p) for p in policy.parameters()]
    )
    assert dict(own_modules(policy.mlp_extractor)) == dict(policy.mlp_extractor.named_children())
    assert why_torch(model) is None
    assert live_parts(policy) is None


def test_where_a_policys_parts_are_not_shown_torch_acts_from_the_second_step_on(monkeypatch):
    by_torch, original = [], Player._choose_by_torch

    def spy(player, step, observations):
        by_torch.append(step)
        return original(player, step, observations)

    monkeypatch.setattr(Player, "_choose_by_torch", spy)
    compiled_model().learn(32)
    assert by_torch == []
    monkeypatch.setattr(torch_internals, "FORWARD_HOOKS", ("_gone",))
    model = compiled_model().learn(32)
    assert by_torch == list(range(1, 32))
    assert model._compiled_path() is not None  # whose update goes on by the kernels


HOOKS = {
    "MODULE_HOOKS": ("the policy", plain_policy),
    "PARAMETER_HOOKS": ("a parameter", plain_policy),
    "OPTIMIZER_HOOKS": ("policy.optimizer", choice),
}


@pytest.mark.parametrize("constant", HOOKS)
def test_where_hooks_are_not_shown_torch_does_the_work_and_says_why(constant, monkeypatch):
    holder, module = HOOKS[constant]
    names = getattr(module, constant)
    for name in names:
        renamed = tuple("_gone" if each == name else each for each in names)
        monkeypatch.setattr(module, constant, renamed)
        reason = f"{holder} may have hooks, which this version of torch does not show"
        assert why_torch(compiled_model()) == reason


@pytest.mark.parametrize(
    ("module", "name"),
    [(m, name) for m, names in (GLOBAL_MODULE_HOOKS, GLOBAL_OPTIMIZER_HOOKS) for name in names],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_where_the_hooks_of_all_are_not_shown_torch_does_the_work(module, name, monkeypatch):
    model = compiled_model()  # torch reads them itself when it makes and calls one
    with monkeypatch.context() as without:
        without.delattr(module, name)
        reason = why_torch(model)
    assert reason == "torch may have hooks, which this version of torch does not show"
    assert why_torch(model) is None


def test_without_the_copy_of_all_at_once_tensors_are_copied_one_by_one(monkeypatch):
    sources, targets = [th.ones(2), th.full((3, 1), 2.0)], [th.zeros(2), th.zeros(3, 1)]
    monkeypatch.delattr(th, "_foreach_copy_")
    copy_all(targets, sources)
    assert [target.unique().item() for target in targets] == [1.0, 2.0]


def test_a_module_that_was_not_compiled_is_itself():
    linear = th.nn.Linear(1, 1)
    assert uncompiled(linear) is linear


def test_where_torch_has_no_bare_methods_optimizers_are_made_as_torch_makes_them(monkeypatch):
    monkeypatch.delattr(th.optim.Optimizer.state_dict, "__wrapped__")
    with no_compiler_import():
        optimizer = th.optim.Adam([th.nn.Parameter(th.ones(1))])
    assert optimizer.state_dict()["state"] == {}

"""What a compiled run does not import: torch's compiler, and what only compiling takes."""

import subprocess
import sys

import torch as th

from ppo_lab.ppo.torch_internals import MARK, no_compiler_import

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

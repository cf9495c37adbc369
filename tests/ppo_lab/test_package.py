"""What importing ppo_lab does, and what it must not do."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import ppo_lab

HOME = Path(__file__).resolve().parents[2]


def run_python(code: str, cwd: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_exported_names_are_these() -> None:
    assert sorted(ppo_lab.__all__) == [
        "CnnPolicy",
        "CoverageCallback",
        "Curriculum",
        "MlpPolicy",
        "MultiInputPolicy",
        "RecurrentPPO",
        "SharedTrunk",
        "SpecActorCriticPolicy",
        "SpecPPO",
        "VecRND",
        "__version__",
    ]
    assert dir(ppo_lab) == sorted(ppo_lab.__all__)
    for name in ppo_lab.__all__:
        assert getattr(ppo_lab, name) is not None
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = ppo_lab.nothing


def test_import_registers_the_environments_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys, ppo_lab, gymnasium; gymnasium.register_envs(ppo_lab);"
        "print('ppo_lab/GridWorld-v0' in gymnasium.registry,"
        " 'ppo_lab/NoisyGridWorld-v0' in gymnasium.registry,"
        " any(m in sys.modules for m in ('torch', 'stable_baselines3', 'optuna', 'pandas')))"
    )
    answer = run_python(code, tmp_path, "-W", "error")
    assert (answer.stdout, answer.stderr) == ("True True False\n", "")


def test_environment_is_made_in_one_go_by_module_and_id(tmp_path: Path) -> None:
    code = "import gymnasium; print(gymnasium.make('ppo_lab:ppo_lab/GridWorld-v0').spec.id)"
    assert run_python(code, tmp_path).stdout == "ppo_lab/GridWorld-v0\n"


def test_importing_twice_registers_once_and_warns_of_nothing() -> None:
    before = dict(gym.registry)
    importlib.reload(ppo_lab)
    assert dict(gym.registry) == before


@pytest.mark.parametrize("name", ["envs", "tuning", "reports"])
def test_foreign_package_of_the_same_name_is_named_with_the_way_out(
    tmp_path: Path, name: str
) -> None:
    foreign = tmp_path / name / "__init__.py"
    foreign.parent.mkdir()
    foreign.write_text("")
    answer = run_python("import ppo_lab", tmp_path)
    assert answer.returncode != 0
    assert str(foreign) in answer.stderr
    assert "python -P -m" in answer.stderr
    assert run_python("import ppo_lab", tmp_path, "-P").returncode == 0


def test_three_lines_of_sb3_code_train_the_algorithm() -> None:
    from ppo_lab import SpecPPO

    model = SpecPPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu").learn(64)
    action, _ = model.predict(model.get_env().reset())  # type: ignore[union-attr]
    assert action.shape == (1,)

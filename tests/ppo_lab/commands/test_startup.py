"""What a command loads: nothing heavy before its names are known, nothing that it does not use."""

import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[3]
HEAVY = ("torch", "stable_baselines3", "optuna", "sqlalchemy", "scipy", "scipy.stats", "numba",
         "matplotlib", "pandas", "rliable", "rich", "tensorboard")  # fmt: skip


def loaded_by(folder: Path, *words: str) -> tuple[int, str, set[str]]:
    """The exit code of ``python -m ppo_lab WORDS``, its stderr, and which of HEAVY it loaded."""
    code = (
        "import sys\nfrom ppo_lab.__main__ import main\n"
        f"try: code = main({list(words)!r})\nexcept SystemExit as end: code = end.code\n"
        f"print('loaded', *(name for name in {HEAVY!r} if name in sys.modules))\nsys.exit(code)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(HOME), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stderr, set(answer.stdout.split("loaded")[-1].split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --env CartPol", "ppo_lab.train: unknown environment 'CartPol'; closest"),
        ("tune --env CartPol --n-trials 3", "unknown environment 'CartPol'; closest"),
        ("compare --env CartPole CartPol -n 1e4", "unknown environment 'CartPol'; closest"),
        ("tune --algo pp", "unknown algorithm 'pp'; closest: ppo"),
        ("evaluate nowhere", "nowhere is no run: there is no such folder"),
        ("evaluate --algo ppo --env cartpole", "holds no run CartPole-v1_1, …"),
        ("compare --env CartPole -n 1e4 --jobs 0", "--jobs 0: expected at least 1"),
        ("warm-up discreet", "'discreet': expected discrete or continuous"),
        ("train -n 1.5", "expected a whole number"),
    ],
)
def test_a_refused_command_has_loaded_nothing_heavy(words: str, said: str, tmp_path: Path) -> None:
    code, err, loaded = loaded_by(tmp_path, *words.split())
    assert (code, loaded) == (2, set())
    assert said in err
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_training_loads_no_optuna_and_no_statistics(tmp_path: Path) -> None:
    words = "train --timesteps 16 --eval-freq 0 --eval-episodes 1 -P n_steps:16 batch_size:16"
    code, _, loaded = loaded_by(tmp_path, *words.split())
    assert code == 0
    assert not loaded & {
        *("optuna", "sqlalchemy", "scipy.stats", "matplotlib", "pandas", "rliable")
    }

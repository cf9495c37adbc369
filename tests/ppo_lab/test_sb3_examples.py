"""SB3's documented kinds of program, with ``SpecPPO`` in place of ``PPO``."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FILES = {
    "sb3_callback.py": ["best_training_model.zip"],
    "sb3_vec_normalize.py": ["pendulum.zip", "vec_normalize.pkl"],
}
PRINTS = {
    "sb3_callback.py": "1024 steps: mean return",
    "sb3_custom_policy.py": "SineFeatures",
    "sb3_custom_environment.py": "best possible 0.4",
    "sb3_vec_normalize.py": "return over 5 episodes: -",
    "sb3_multi_input.py": "inputs img, vec; mean return",
}


def test_every_example_is_run_by_the_test_below() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("sb3_*.py")) == sorted(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_example_runs_prints_what_it_found_and_leaves_its_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / name))["main"](512)
    assert PRINTS[name] in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES.get(name, [])


def test_the_example_environment_is_learnt_to_the_optimum(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(EXAMPLES / "sb3_custom_environment.py"))["main"](10_000)
    assert "mean return 0.4, best possible 0.4" in capsys.readouterr().out

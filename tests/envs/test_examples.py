"""The documented examples run and print what the Spec says."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(name):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out, sorted(path.name for path in tmp_path.glob("*.png"))

    return run


def test_the_grid_example_prints_the_table_of_the_spec(run):
    printed, pictures = run("value_iteration_on_the_grid.py")
    assert "  0.645 →   0.744 →   0.848 →   1.000" in printed
    assert "optimum 1.000, random policy -0.285" in printed
    assert pictures == ["grid_q_values.png", "grid_values.png"]


def test_the_cliff_example_prints_the_four_answers(run):
    printed, pictures = run("cliff_exercise.py")
    answers = [tuple(line.split()[:4]) for line in printed.splitlines()[1:5]]
    assert answers == [
        ("0.1", "0.0", "close", "risks"),
        ("0.1", "0.5", "close", "avoids"),
        ("0.99", "0.0", "distant", "risks"),
        ("0.99", "0.5", "distant", "avoids"),
    ]
    assert pictures == ["cliff_exercise.png"]


def test_the_crawler_example_prints_the_numbers_of_the_spec(run):
    printed, pictures = run("q_learning_on_the_crawler.py")
    assert "optimum 370.979, random policy 6.055" in printed
    assert "value iteration, γ = 0.9: 320.078" in printed
    assert pictures == ["crawler_q_learning.png"]

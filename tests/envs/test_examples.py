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


def read_table(printed):
    """Name of each row → mean, least and share of the optimum."""
    rows = [line.rsplit(maxsplit=5) for line in printed.splitlines() if line[-1:].isdigit()]
    return {row[0].strip(): tuple(float(row[i]) for i in (2, 3, 5)) for row in rows}


@pytest.fixture
def main(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(EXAMPLES / "ppo_against_both.py"))["main"]


@pytest.mark.slow  # trains four peers; the other examples, which train none, are fast
def test_the_ppo_example_measures_all_by_the_same_exact_return(main, tmp_path, capsys):
    main(seeds=1, timesteps=3200)
    table = read_table(capsys.readouterr().out)
    assert table["optimum of 100 steps"] == (370.979, 370.979, 1.0)
    assert table["value iteration, γ = 0.9"][0] == 320.078
    assert table["random policy"] == (6.055, 6.055, 0.0)
    assert set(table) >= {"SpecPPO", "Q-learning, γ = 0.9"}
    assert max(share for _, _, share in table.values()) == 1.0
    assert (tmp_path / "ppo_against_both.png").is_file()


@pytest.mark.slow
def test_in_the_ppo_example_every_seed_out_crawls_short_sighted_planning(main, capsys):
    main()
    table = read_table(capsys.readouterr().out)
    assert table["SpecPPO"][1] > table["value iteration, γ = 0.9"][0]

"""RL Zoo's benchmark folder: ``LABEL-ENV/0.monitor.csv`` and ``benchmark.md``."""

from pathlib import Path

from reports.logs.loading import load_runs
from reports.logs.records import EVALUATION, TRAINING
from reports.report import write_report
from tests.reports.log_writers import write_monitor, write_zoo_benchmark

TASKS = {"ppo": ("Pendulum-v1", "CartPole-v1", "MiniGrid-Empty-5x5-v0"), "her": ("FetchPush-v1",)}


def test_its_folders_become_algorithms_on_their_tasks(tmp_path: Path) -> None:
    write_zoo_benchmark(tmp_path, TASKS)
    loaded = load_runs(tmp_path)
    assert {(run.label, run.task) for run in loaded.runs} == {
        (algo, task) for algo, tasks in TASKS.items() for task in tasks
    }
    assert loaded.sources == (f"{tmp_path.name}: 4 models of RL Zoo's benchmark",)
    assert loaded.set_aside == ()


def test_its_score_is_the_mean_over_all_episodes_as_benchmark_md_states_it(tmp_path: Path) -> None:
    returns = [1.0] * 150 + [4.0] * 50  # mean 1.75; of the last 100 alone it would be 2.5
    write_zoo_benchmark(tmp_path, TASKS, returns)
    for run in load_runs(tmp_path).runs:
        assert (run.score, run.evaluation_episodes, run.measure) == (1.75, 200, EVALUATION)
        assert (run.kind, run.seed) == ("zoo_benchmark", None)
        row = f"|{run.algo}|{run.task}|{run.score}|"
        assert row in (tmp_path / "benchmark.md").read_text()


def test_its_steps_are_those_of_training_where_the_table_states_them(tmp_path: Path) -> None:
    write_zoo_benchmark(tmp_path, {"ppo": ("CartPole-v1", "Pendulum-v1")}, steps=("500k", "10M"))
    (tmp_path / "her-FetchPush-v1").mkdir()
    write_monitor(tmp_path / "her-FetchPush-v1" / "0.monitor.csv", [1.0], env_id="FetchPush-v1")
    runs = {run.task: run for run in load_runs(tmp_path).runs}
    assert runs["CartPole-v1"].steps == 500_000
    assert runs["Pendulum-v1"].steps == 10_000_000
    assert runs["FetchPush-v1"].steps == 0
    assert "does not say for how many steps" in runs["FetchPush-v1"].remarks[0]


def test_without_its_table_the_same_folders_are_logs_of_training(tmp_path: Path) -> None:
    write_zoo_benchmark(tmp_path, TASKS)
    (tmp_path / "benchmark.md").unlink()
    runs = load_runs(tmp_path).runs
    assert {run.label for run in runs} == {"ppo", "her"}
    assert {run.measure for run in runs} == {TRAINING}


def test_a_run_that_was_trained_beside_a_table_is_no_evaluation(tmp_path: Path) -> None:
    write_zoo_benchmark(tmp_path, {"ppo": ("CartPole-v1",)})
    (tmp_path / "ppo-CartPole-v1" / "best_model.zip").write_bytes(b"")
    (run,) = load_runs(tmp_path).runs
    assert run.measure == TRAINING


def test_its_full_size_has_one_caution_a_kind(tmp_path: Path) -> None:
    """As large as the real one: 12 algorithms, 204 folders, and no task that all of them ran."""
    tasks = [f"Task{number}-v0" for number in range(55)]
    counts = [41, 30, 26, 18, 16, 16, 14, 14, 11, 9, 5, 4]
    assert (sum(counts), len(counts)) == (204, 12)
    layout = {
        f"algo{place}": tuple(tasks[(7 * place + number) % 55] for number in range(count))
        for place, count in enumerate(counts)
    }
    write_zoo_benchmark(tmp_path, layout)
    loaded = load_runs(tmp_path)
    assert len(loaded.runs) == 204
    report = write_report(loaded, tmp_path / "out", table_draws=100, curve_draws=100, formats=())
    document = report.document
    assert len(document.labels) == 12
    missing = 12 * len(document.tasks) - 204
    (lines,) = [line for line in document.cautions if "has no run of" in line]
    assert f"And {missing - 1:,} more of this kind: " in lines
    assert len(document.cautions) <= 8
    assert max(map(len, (*document.cautions, *document.footer))) < 2_500

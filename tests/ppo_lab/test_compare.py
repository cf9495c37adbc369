"""``python -m ppo_lab.compare``: the matrix, its report, going on, and what it refuses."""

import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from ppo_lab.commands.comparison import ComparisonPlan, checked_names, run_groups
from ppo_lab.commands.comparison_notes import notes
from ppo_lab.commands.options import CompareOptions
from ppo_lab.commands.settings_source import SettingsSource, settings_source
from ppo_lab.commands.shared import parse
from ppo_lab.compare import _parser, main
from ppo_lab.registry import ALGORITHMS
from ppo_lab.runs.config import Evaluation
from ppo_lab.runs.environments import inspect_environment

HOME = Path(__file__).resolve().parents[2]
GRID, NOISY = "ppo_lab/GridWorld-v0", "ppo_lab/NoisyGridWorld-v0"
SMALL = ["--seeds", "2", "--timesteps", "64", "--jobs", "2", "--episodes", "5", "--points", "2"]
MATRIX = [*SMALL, "--algos", "spec_ppo", "ppo", "optimal", "--envs", GRID, NOISY]
REPORT = [
    "report.md",
    "tables/table.csv",
    "tables/scores.csv",
    "figures/intervals.png",
    "report.html",
]


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Settings so small that a run takes a moment."""
    file = tmp_path_factory.mktemp("conf") / "small.yml"
    file.write_text("default:\n  n_envs: 2\n  n_steps: 16\n  batch_size: 16\n  n_epochs: 1\n")
    return str(file)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, conf: str) -> Path:
    """The folder of a small comparison, finished."""
    logs = tmp_path_factory.mktemp("logs")
    handler = signal.getsignal(signal.SIGTERM)
    arguments = [*MATRIX, "--conf", f"spec_ppo={conf}", f"ppo={conf}", "--log-folder", str(logs)]
    assert main(arguments) == 0
    signal.signal(signal.SIGTERM, handler)
    return logs / "compare"


def again(finished: Path, conf: str, *more: str) -> list[str]:
    files = [f"spec_ppo={conf}", f"ppo={conf}"]
    return [*MATRIX, "--conf", *files, "--log-folder", str(finished.parent), *more]


def records(folder: Path) -> pd.DataFrame:
    paths = sorted(folder.glob("runs/**/run.json"))
    return pd.DataFrame([json.loads(path.read_text()) for path in paths])


def test_every_algorithm_runs_every_environment_with_every_seed(finished: Path) -> None:
    runs = records(finished)
    assert len(runs) == 3 * 2 * 2
    assert (runs.groupby(["algo", "env"])["seed"].nunique() == 2).all()
    assert set(runs["stage"]) == {"judge"}
    # Both sides get the same budget, seeds and evaluation.
    for key in ("timesteps", "reference"):
        assert runs.groupby("env")[key].agg(lambda of_env: of_env.map(str).nunique()).eq(1).all()
    # A seed's runs are evaluated alike in every row, and those of two seeds are not.
    evaluated = runs.groupby("seed")["evaluation"].agg(lambda of: set(of.map(str)))
    assert evaluated.map(len).eq(1).all()
    assert len(set().union(*evaluated)) == len(evaluated) == 2
    table = pd.read_csv(finished / "tables" / "table.csv")
    assert table["label"].tolist() == ["optimal (exact)", "ppo (given)", "spec_ppo (given)"]
    assert set(table["baseline"]) == {"ppo (given)"}


def test_spec_ppo_and_ppo_get_the_same_settings_of_one_file(finished: Path) -> None:
    runs = records(finished)
    used = runs[runs["algo"].isin(["spec_ppo", "ppo"])]
    assert used["hyperparameters"].map(str).nunique() == 1


def test_the_report_says_where_the_settings_come_from_and_their_tuning(finished: Path) -> None:
    page = (finished / "report.md").read_text()
    assert "Settings of ppo (given): small.yml, default; tuning: not known" in page
    assert "Settings of optimal (exact): dynamic programming; tuning: none" in page
    assert set(records(finished)["origin"]) == {"small.yml, default", "dynamic programming"}


def test_the_page_has_the_command_that_made_the_runs_and_the_one_after_it(
    finished: Path, conf: str, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "compare")
    words = [*again(finished, conf)[:-2], "--log-folder", str(tmp_path), "--seed", "0"]
    assert main(words) == 0
    document = json.loads((tmp_path / "compare" / "report.json").read_text())
    (row,) = document["made_by"]
    given = ["python", "-m", "ppo_lab.compare", *again(finished, conf)[:-2]]
    idle = given.index("--jobs")
    first = [*given[:idle], *given[idle + 2 :]]
    assert [shlex.split(command) for command in row["commands"]] == [first, [*first, "--seed", "0"]]
    page = (tmp_path / "compare" / "report.md").read_text()
    assert "```bash\n" + "\n".join(row["commands"]) + "\n```" in page


def test_the_same_command_makes_no_run_again_and_the_same_report(
    finished: Path, conf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (finished / name).read_bytes() for name in REPORT}
    made = {path: path.stat().st_mtime_ns for path in finished.glob("runs/**/run.json")}
    assert main(again(finished, conf)) == 0
    assert "12 of them from an earlier call" in capsys.readouterr().out
    assert made == {path: path.stat().st_mtime_ns for path in finished.glob("runs/**/run.json")}
    assert {name: (finished / name).read_bytes() for name in REPORT} == before


def test_another_budget_in_the_same_folder_is_refused_and_loses_nothing(
    finished: Path, conf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in finished.glob("**/*.json")}
    assert main(again(finished, conf, "--timesteps", "65")) == 2
    errors = capsys.readouterr().err
    assert re.search(r"holds another run \(it differs in timesteps\).*--log-folder\n$", errors)
    assert before == {path: path.read_bytes() for path in finished.glob("**/*.json")}


@pytest.mark.slow
def test_killed_command_goes_on_and_ends_with_the_same_report(
    finished: Path, conf: str, tmp_path: Path
) -> None:
    arguments = [sys.executable, "-m", "ppo_lab.compare", *MATRIX]
    arguments += ["--conf", f"spec_ppo={conf}", f"ppo={conf}", "--log-folder", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("compare/runs/*/*/run.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    made = len(list(tmp_path.glob("compare/runs/*/*/run.json")))
    answer = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    [kept] = re.findall(r"(\d+) of them from an earlier call", answer.stdout)
    assert int(kept) >= made
    for name in REPORT:
        assert (tmp_path / "compare" / name).read_bytes() == (finished / name).read_bytes()
    assert list(tmp_path.glob("**/.*.part-*")) == []


def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> str:
    """An environment whose runs go wrong with one of the two test seeds."""
    (tmp_path / "faulty_matrix.py").write_text(
        "import os\nimport time\nimport gymnasium as gym\nfrom envs.gridworld import GridWorld\n"
        "class Faulty(GridWorld):\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        self.bad = getattr(self, 'bad', False) or seed == 100_100\n"
        "        return super().reset(seed=seed, options=options)\n"
        "    def step(self, action):\n"
        f"        if self.bad:\n            {fault}\n"
        "        return super().step(action)\n"
        'gym.register("Faulty-v0", entry_point=Faulty, max_episode_steps=5)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "faulty_matrix:Faulty-v0"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise RuntimeError('blew up')", "RuntimeError: blew up"),
        pytest.param(
            "os._exit(9)",
            "the worker process died twice (exit code 9)",
            marks=pytest.mark.slow,  # four workers start; test_worker_pool.py has the same
        ),
        pytest.param(
            "time.sleep(600)",
            "faulty_matrix:Faulty-v0 did not finish within 20 s (--run-timeout)",
            marks=pytest.mark.slow,  # it waits; test_worker_pool.py has the same in a second
        ),
    ],
    ids=["failing run", "dying worker", "hanging run"],
)
def test_what_fails_is_recorded_in_the_report_and_the_rest_is_compared(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    conf: str,
    fault: str,
    reason: str,
) -> None:
    env = faulty(tmp_path, monkeypatch, fault)
    arguments = [*SMALL, "--envs", env, "--algos", "ppo", "--conf", conf]
    if "sleep" in fault:
        arguments += ["--run-timeout", "20"]
    assert main([*arguments, "--log-folder", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert errors == f"ppo_lab.compare: 1 of 2 runs failed, the first: {reason}\n"
    folder = tmp_path / "compare-Faulty-v0"
    runs = records(folder).set_index("seed")
    assert runs["status"].to_dict() == {100_000: "completed", 100_100: "failed"}
    assert runs["reason"][100_100] == reason
    page = (folder / "report.md").read_text()
    assert f"1 run of ppo on {env} failed: {reason}" in page.replace("\\", "")
    assert "## Files set aside" in page


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("sys.exit()", "cannot be made: SystemExit: sys.exit() was called"),
        ("os._exit(0)", "cannot be made: the worker process died twice (exit code 0)"),
    ],
)
def test_environment_that_ends_its_maker_is_one_line_and_no_success(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    message: str,
) -> None:
    (tmp_path / "ending.py").write_text(
        "import os, sys\nimport gymnasium as gym\n"
        f"def make(**_):\n    {fault}\n"
        'gym.register("Ending-v0", entry_point=make)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [*SMALL, "--envs", "ending:Ending-v0", "--algos", "ppo"]
    assert main([*arguments, "--log-folder", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors == f"ppo_lab.compare: environment 'ending:Ending-v0' {message}\n"


def test_nothing_but_failures_is_one_line_and_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], conf: str
) -> None:
    env = faulty(tmp_path, monkeypatch, "raise RuntimeError('blew up')")
    (tmp_path / "faulty_matrix.py").write_text(
        (tmp_path / "faulty_matrix.py").read_text().replace("seed == 100_100", "seed is not None")
    )
    arguments = [*SMALL, "--envs", env, "--algos", "ppo", "--conf", conf]
    assert main([*arguments, "--log-folder", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert errors == "ppo_lab.compare: all 2 runs failed, the first: RuntimeError: blew up\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algos", "pp0"], r"unknown algorithm 'pp0'; closest: ppo"),
        (["--envs", "CartPol-v1"], r"unknown environment 'CartPol-v1'; closest: CartPole-v1"),
        (["--algos", "dqn", "--envs", "Pendulum-v1"], r"which DQN cannot use; expected Discrete"),
        (
            ["--algos", "ppo_mask", "--envs", "CartPole-v1"],
            r"no method action_masks\(\), which MaskablePPO",
        ),
        (["--algos", "q_learning", "--envs", "CartPole-v1"], r"exports no finite MDP"),
        (["--seeds", "0"], r"seeds=0: expected at least 1"),
        (["--timesteps", "0"], r"timesteps=0: expected at least 1"),
        (["--jobs", "0"], r"--jobs 0: expected at least 1"),
        (["--episodes", "0"], r"--episodes 0: expected at least 1"),
        (["--run-timeout", "0"], r"--run-timeout 0: expected more than 0 seconds"),
        (["--run-timeout", "nan"], r"--run-timeout nan: expected more than 0 seconds"),
        (["--points", "0"], r"--points 0: expected at least 1"),
        (["--n-envs", "0"], r"--n-envs 0: expected at least 1"),
        (["--seed", "-1"], r"seed=-1: expected 0 to"),
        (["--baseline", "a2c"], r"--baseline a2c: it is none of the --algos"),
        (["--preset", "best"], r"unknown preset 'best'; closest: recommended, sb3"),
        (["--preset", "sb3", "--algos", "ppo"], r"presets are for spec_ppo, which is none"),
        (["--conf", "none.yml"], r"none.yml cannot be read: FileNotFoundError"),
        (["--conf", "a2c=none.yml"], r"--conf a2c=none.yml: 'a2c' is none of the --algos"),
        (["--settings", "committed", "--envs", "CartPole-v1"], r"no settings of 'spec_ppo' come"),
        (["--settings", "best"], r"argument --settings: invalid choice: 'best'"),
        (["--name", "../up"], r"--name '../up': expected a plain file name"),
        (["--log-folder", "/proc/none"], r"--log-folder /proc/none: "),
        (["--nonsense"], r"unrecognized arguments: --nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_clear_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main([*SMALL, "--envs", GRID, *arguments])
    except SystemExit as end:
        code = int(str(end.code))
    errors = capsys.readouterr().err
    assert code == 2
    assert errors.count("\n") == 1
    assert errors.startswith("ppo_lab.compare: ")
    assert re.search(message, errors)
    assert not list(tmp_path.glob("**/run.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1", r"cannot be read: ParserError"),
        ("- 1", r"expected environment ids, each with its settings"),
        ("CartPole-v1: {n_steps: 8}", r"no settings for 'ppo_lab/GridWorld-v0' and no 'default'"),
        ("default: {nonsense: 1}", r"cannot be built: .*unknown hyperparameter 'nonsense'"),
        ("default: {env_wrapper: some.Wrapper}", r"package .some., which nobody has named"),
        ("default: {n_envs: many}", r"n_envs and n_timesteps must be whole numbers"),
    ],
)
def test_a_bad_file_of_settings_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "bad.yml"
    file.write_text(text)
    arguments = [*SMALL, "--envs", GRID, "--algos", "ppo", "--conf", str(file)]
    assert main([*arguments, "--log-folder", str(tmp_path / "logs")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "logs").exists()


def test_help_documents_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    flags = "algos envs seeds timesteps seed jobs n-envs episodes points settings conf preset"
    more = ["run-timeout", "baseline", "name", "log-folder"]
    for flag in (f"--{name}" for name in [*flags.split(), *more]):
        assert re.search(rf"^  {flag} .*\n?.*\w", text, re.MULTILINE), flag


PAGE = (HOME / "docs" / "compare.md").read_text(encoding="utf-8")


def test_every_command_on_the_page_is_one() -> None:
    commands = re.findall(r"^python -m ppo_lab\.compare (--algos.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        options = parse(_parser(), CompareOptions, command.split())
        algos, envs = checked_names(options)
        settings_source(options, algos)
        for algo, env in itertools.product(algos, envs):
            inspect_environment(env, {}, algo)


def test_the_page_lists_every_algorithm() -> None:
    assert [
        name
        for row in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"\w+", row)
    ] == list(ALGORITHMS)


def test_the_python_on_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "compare.md", "exec"), {})


def test_what_a_constructor_warns_of_stands_in_the_notes(tmp_path: Path) -> None:
    file = tmp_path / "odd.yml"
    file.write_text("default: {n_steps: 10, batch_size: 4}\n")
    source = SettingsSource(files={"ppo": file})
    plan = ComparisonPlan(
        run_groups(["ppo"], [GRID], source, 10, Evaluation(1, 0)), (0,), (1,), tmp_path
    )
    [note] = [note for note in notes(plan, [], 0) if "mini-batch" in note]
    assert note.startswith(f"ppo on {GRID}: You have specified a mini-batch size of 4")

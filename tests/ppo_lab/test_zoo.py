"""``python -m ppo_lab.zoo``: RL Zoo's workflows, as docs/zoo.md shows them."""

import json
import os
import pickle
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml

from ppo_lab import SpecPPO

pytest.importorskip("rl_zoo3")

HOME = Path(__file__).resolve().parents[2]
GRID = "ppo_lab-NoisyGridWorld-v0"
# Each command in a process forked from one that has imported everything: 15 commands in the time
# of three, each as alone as `python -m` would have it.
DRIVER = """
import json, os, sys
from pathlib import Path
import torch, rl_zoo3.train, rl_zoo3.enjoy, rl_zoo3.plots
from ppo_lab.zoo import main
torch.set_num_threads(1)
codes = []
for number, words in enumerate(json.loads(sys.argv[1])):
    child = os.fork()
    if child == 0:
        with open(f"output_{number}.txt", "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                code = main(words)
            except SystemExit as end:
                code = end.code or 0
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(HOME),
        "MPLBACKEND": "agg",
        "COLUMNS": "100",
        "OMP_NUM_THREADS": "1",
        **more,
    }


def run_zoo(folder: Path, *commands: list[str]) -> list[tuple[int, str]]:
    """(exit code, output) of each command, in their order."""
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DRIVER, json.dumps(commands)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    codes = json.loads(answer.stdout.splitlines()[-1])
    return [(code, (folder / f"output_{n}.txt").read_text()) for n, code in enumerate(codes)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The commands of docs/zoo.md, run in one folder: the folder, and output by command."""
    import shlex

    transcripts = runpy.run_path(str(HOME / "docs" / "transcripts.py"))
    text = (HOME / "docs" / "zoo.md").read_text(encoding="utf-8")
    prefix = "python -m ppo_lab.zoo "
    lines = [
        line for block in transcripts["BLOCK"].finditer(text)
        for line in transcripts["commands_of"](block["text"]) if line.startswith(prefix)
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("zoo")
    answers = run_zoo(folder, *(shlex.split(line.removeprefix(prefix)) for line in lines))
    for line, (code, output) in zip(lines, answers, strict=True):
        assert code == 0, f"{line}\n{output}"
    return folder, {line: output for line, (_, output) in zip(lines, answers, strict=True)}


def output_of(page: tuple[Path, dict[str, str]], *parts: str) -> str:
    (output,) = [text for line, text in page[1].items() if all(part in line for part in parts)]
    return output


def test_training_leaves_the_zoos_run_folder_with_our_settings(
    page: tuple[Path, dict[str, str]],
) -> None:
    run = page[0] / "logs" / "spec_ppo" / f"{GRID}_1"
    assert SpecPPO.load(run / f"{GRID}.zip", device="cpu").num_timesteps == 4096
    evaluations = np.load(run / "evaluations.npz")
    assert evaluations["timesteps"].tolist() == [1024, 2048, 3072, 4096]
    committed = yaml.safe_load((HOME / "ppo_lab" / "hyperparams" / "spec_ppo.yml").read_text())
    ours = committed["ppo_lab/NoisyGridWorld-v0"]
    config = (run / GRID / "config.yml").read_text()
    for name in ("n_steps", "learning_rate", "ent_coef"):
        assert f"- {name}\n    - {ours[name]}" in config
    assert "ppo_lab/hyperparams/spec_ppo.yml" in output_of(page, "--seed 0", "4096")


def test_enjoy_plays_the_saved_model(page: tuple[Path, dict[str, str]]) -> None:
    output = output_of(page, "enjoy", "NoisyGridWorld")
    assert f"Loading logs/spec_ppo/{GRID}_2/{GRID}.zip" in output
    assert re.search(r"^Mean reward: -?[\d.]+ \+/- [\d.]+$", output, re.MULTILINE)


def test_training_goes_on_from_a_model(page: tuple[Path, dict[str, str]]) -> None:
    assert "Loading pretrained agent" in output_of(page, " -i ")
    logs = page[0] / "logs" / "spec_ppo"
    before = SpecPPO.load(logs / f"{GRID}_1" / f"{GRID}.zip", device="cpu")
    after = SpecPPO.load(logs / f"{GRID}_3" / f"{GRID}.zip", device="cpu")
    # Adam's count goes on: 4096 steps and 2048 more, in rollouts of 1024 with 10 × 4 minibatches.
    steps = [int(m.policy.optimizer.state_dict()["state"][0]["step"]) for m in (before, after)]
    assert steps == [4 * 40, 6 * 40]


def test_vec_normalised_training_saves_its_statistics_and_enjoy_loads_them(
    page: tuple[Path, dict[str, str]],
) -> None:
    run = page[0] / "logs" / "spec_ppo" / "Pendulum-v1_1"
    assert (run / "Pendulum-v1" / "vecnormalize.pkl").is_file()
    assert "Loading running average" in output_of(page, "enjoy", "Pendulum")
    assert (run / "rl_model_1000_steps.zip").is_file()
    model = SpecPPO.load(run / "Pendulum-v1.zip", device="cpu")
    assert model.critic_lr_schedule(0.5) == 0.001  # half of lin_0.002
    assert model.critic_max_grad_norm == 1.0
    assert "hyperparams/ppo.yml" in output_of(page, "train", "Pendulum")  # the zoo's own


def test_the_zoos_normalised_run_is_scored_by_evaluate(
    page: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    from ppo_lab.evaluate import main

    run = page[0] / "logs" / "spec_ppo" / "Pendulum-v1_1"
    assert main([str(run), "--episodes", "3", "--checkpoint", "best"]) == 0
    printed = capsys.readouterr().out
    assert "spec_ppo on Pendulum-v1, best model of" in printed
    assert "mean return -" in printed  # Pendulum pays costs, normalised ones being near 0
    assert "mean length 200.0 steps" in printed


@pytest.mark.slow
def test_the_zoos_run_with_wrappers_is_scored_in_the_same_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ppo_lab.evaluate import main

    settings = {
        "n_steps": 32,
        "batch_size": 32,
        "policy": "MlpPolicy",
        "n_timesteps": 128,
        "env_wrapper": [{"rl_zoo3.wrappers.TimeFeatureWrapper": {"max_steps": 500}}],
        "frame_stack": 2,
        "normalize": True,
        "env_kwargs": {"sutton_barto_reward": True},
    }
    (tmp_path / "conf.yml").write_text(yaml.safe_dump({"CartPole-v1": settings}))
    command = "rl_zoo3.train --algo ppo --env CartPole-v1 --conf-file conf.yml -n 128 --seed 0"
    command += " --eval-freq 64 --device cpu --num-threads 1"
    words = [sys.executable, "-m", *command.split()]
    subprocess.run(words, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    run = tmp_path / "logs" / "ppo" / "CartPole-v1_1"
    assert main([str(run), "--episodes", "3"]) == 0
    # -1 for the fall alone: the environment is the one of env_kwargs, its rewards the true ones.
    assert "mean return -1" in capsys.readouterr().out


def test_search_uses_our_space_and_trial_zero_can_be_taken(
    page: tuple[Path, dict[str, str]],
) -> None:
    study = optuna.load_study(study_name="grid", storage=f"sqlite:///{page[0] / 'study.db'}")
    assert len(study.trials) == 3
    first = study.trials[0].params
    assert {"clip_range", "gae_lambda", "learning_rate", "critic_learning_rate"} <= set(first)
    taken = output_of(page, "--trial-id 0")
    assert "Loading from Optuna study..." in taken
    assert f"('clip_range', {first['clip_range']})" in taken


def test_video_of_our_environment_is_recorded(page: tuple[Path, dict[str, str]]) -> None:
    pytest.importorskip("moviepy")
    (film,) = (page[0] / "videos").glob("*.mp4")
    assert film.stat().st_size > 1000


def test_plots_are_drawn_over_our_runs(page: tuple[Path, dict[str, str]]) -> None:
    folder = page[0]
    with (folder / "results.pkl").open("rb") as file:
        results = pickle.load(file)  # written by the command above
    curve = results[GRID]["SPEC_PPO-logs"]
    assert curve["mean_per_eval"].shape[1] >= 2
    assert (folder / "results.svg").is_file()
    assert f"|{GRID}|" in output_of(page, "plot_from_file")
    assert "plot_train" in " ".join(page[1])


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """What the page does not show: subprocesses, adaptive ε, and what goes wrong."""
    folder = tmp_path_factory.mktemp("zoo")
    train = ["train", "--algo", "spec_ppo", "--device", "cpu", "-n", "128", "--seed", "0"]
    small = ["-params", "n_envs:2", "n_steps:32", "batch_size:32", "n_epochs:1"]
    cartpole = [*train, "--env", "CartPole-v1", *small]
    return run_zoo(
        folder,
        [*cartpole, "adaptive_clip_range:(0.1,0.4)", "clip_range:0.2", "--eval-freq", "64"],
        ["enjoy", "--algo", "spec_ppo", "--env", "CartPole-v1", "-f", "logs", "--no-render"],
        [*train, "--env", "CartPole-v1", "--vec-env", "subproc", *small],
        ["train", "--algo", "ppo", "--env", "CartPole-v1", "-n", "64", *small],
        [*train, "--no-such-flag"],
        [*train, "--env", "NoSuch-v0"],
        [*cartpole, "clip_range:-1"],
        ["trian"],
        ["all_plots", "-a", "spec_ppo", "-e", "CartPole-v1", "-f", "logs", "--no-display",
         "-o", "one"],
        ["plot_from_file", "-i", "one"],
    )  # fmt: skip


def test_model_with_adaptive_epsilon_is_played_too(others: list[tuple[int, str]]) -> None:
    # The zoo loads with clip_range = 0 in place of the saved one.
    assert others[0][0] == 0
    assert others[1][0] == 0
    assert "Mean reward" in others[1][1]


def test_environments_in_subprocesses_and_the_zoos_own_algorithms_work(
    others: list[tuple[int, str]],
) -> None:
    assert [others[2][0], others[3][0]] == [0, 0]
    assert "Saving to logs/ppo/CartPole-v1_1" in others[3][1]


def test_flag_that_the_zoo_does_not_know_gives_its_own_error(others: list[tuple[int, str]]) -> None:
    code, output = others[4]
    assert code == 2
    assert output.endswith(
        "python -m ppo_lab.zoo train: error: unrecognized arguments: --no-such-flag\n"
    )


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (5, 1, "ppo_lab.zoo: train: NoSuch-v0 not found in gym registry"),
        (6, 2, "ppo_lab.zoo: clip_range=-1: expected a finite number ≥ 0"),
        (7, 2, "ppo_lab.zoo: argument SCRIPT: invalid choice: 'trian'"),
        (9, 1, "rl_zoo3 plots from a file only where every algorithm has two runs or more"),
    ],
)
def test_what_goes_wrong_is_one_line(
    number: int, code: int, message: str, others: list[tuple[int, str]]
) -> None:
    assert others[number][0] == code
    assert message in others[number][1].splitlines()[-1]
    assert "Traceback" not in others[number][1]


@pytest.mark.parametrize(
    ("missing", "script", "line"),
    [
        ("rl_zoo3", "train", "'train' needs rl_zoo3, which is missing"),
        ("requests", "enjoy", "'enjoy' needs requests, which is missing"),
    ],
)
def test_missing_extra_says_which_line_installs_it(
    missing: str, script: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # In a process of its own: importing the zoo changes matplotlib's style.
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from ppo_lab.zoo import main; sys.exit(main([{script!r}]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == (f'ppo_lab.zoo: {line}: pip install "ppo-lab[zoo]"')


def test_help_names_every_script(capsys: pytest.CaptureFixture[str]) -> None:
    from ppo_lab.zoo import SCRIPTS, main

    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    printed: Any = capsys.readouterr().out
    assert all(script in printed for script in SCRIPTS)


@pytest.mark.parametrize(
    ("flags", "other"),
    [(["--load-best"], True), (["--load-b"], True), (["--load-checkpoint=64"], True),
     (["-f", "logs", "--no-render"], False), (["--l"], False)],
)  # fmt: skip
def test_models_of_another_moment_than_the_zoos_statistics_are_noticed(
    flags: list[str], other: bool
) -> None:
    from ppo_lab.zoo import _plays_another_moment

    assert _plays_another_moment(flags) == other

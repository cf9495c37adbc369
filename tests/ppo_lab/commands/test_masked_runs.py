"""``mask_actions`` through the commands: which runs ask for masks, and what is said of them."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from stable_baselines3.common import callbacks
from stable_baselines3.common.evaluation import evaluate_policy

from ppo_lab.commands.comparison import plan_comparison
from ppo_lab.commands.comparison_notes import notes
from ppo_lab.commands.options import CompareOptions
from ppo_lab.commands.shared import parse
from ppo_lab.compare import _parser as compare_parser
from ppo_lab.compare import main as compare
from ppo_lab.errors import ArgumentError
from ppo_lab.evaluate import main as evaluate
from ppo_lab.registry import asks_for_masks
from ppo_lab.runs.recipe import EnvironmentRecipe
from ppo_lab.runs.resumable import read_run
from ppo_lab.train import main as train
from ppo_lab.tune import main as tune
from ppo_lab.zoo import main as zoo

WALK = '''
import gymnasium as gym
import numpy as np


class Walk(gym.Env):
    """From the left end to the right one; a step off the corridor is forbidden, and raises."""

    observation_space = gym.spaces.Box(0.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(3)

    def action_masks(self):
        return [self.at > 0, True, self.at < 3]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.clock = 0, 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        assert self.action_masks()[int(action)], "a forbidden action"
        self.at += int(action) - 1
        self.clock += 1
        seen = np.array([self.at / 3], np.float32)
        return seen, self.at / 3, self.at == 3, self.clock == 20, {}
'''
SMALL = ["-P", "n_steps:32", "batch_size:32", "n_epochs:1", "--eval-episodes", "2",
         "--eval-freq", "64"]  # fmt: skip


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "walk.py").write_text(WALK)
    monkeypatch.chdir(tmp_path)
    return "walk.py:Walk"


@pytest.mark.parametrize(
    ("algo", "hyperparameters", "expected"),
    [
        ("spec_ppo", {}, False),
        ("spec_ppo", {"mask_actions": True}, True),
        ("spec_ppo", {"mask_actions": False}, False),
        ("ppo_mask", {}, True),
        ("ppo", {}, False),
        ("optimal", {"": True}, False),
    ],
)
def test_which_runs_ask_for_masks(
    algo: str, hyperparameters: dict[str, Any], expected: bool
) -> None:
    assert asks_for_masks(algo, hyperparameters) is expected


def test_a_masked_run_is_trained_played_and_gone_on_with(
    walk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(["--env", walk, "--mask-actions", "--timesteps", "64", *SMALL]) == 0
    folder = Path("logs/spec_ppo/Walk_1")
    config, _ = read_run(folder)
    assert config.masks
    assert config.settings == "given-masked"
    assert yaml.safe_load((folder / "Walk/config.yml").read_text())["mask_actions"] is True
    for flags in ([], ["--stochastic"], ["--no-pickle", "--env", walk]):
        capsys.readouterr()
        assert evaluate([str(folder), "--episodes", "3", *flags]) == 0
        assert "mean return" in capsys.readouterr().out
    assert train(["--resume", str(folder), "--timesteps", "96"]) == 0
    assert read_run(Path("logs/spec_ppo/Walk_2"))[0].masks


def test_the_settings_of_a_file_ask_for_masks_too(walk: str) -> None:
    entry = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "mask_actions": True}
    Path("walk.yml").write_text(yaml.safe_dump({walk: entry}))
    words = ["--env", walk, "--conf", "walk.yml", "--timesteps", "32", "--eval-freq", "0"]
    # Steps are measured by random actions, which are allowed ones as well.
    assert train([*words, "--vec-env", "auto", "--n-envs", "2"]) == 0
    assert read_run(Path("logs/spec_ppo/Walk_1"))[0].masks


def test_a_comparison_says_who_acted_under_masks(walk: str) -> None:
    entry = {"n_steps": 32, "batch_size": 32, "n_epochs": 1}
    Path("walk.yml").write_text(yaml.safe_dump({"default": entry}))
    words = ["--envs", walk, "--seeds", "1", "--timesteps", "32", "--conf", "walk.yml"]
    words += ["--algos", "spec_ppo", "ppo_mask", "ppo", "--mask-actions"]
    options = parse(compare_parser(), CompareOptions, words)
    plan = plan_comparison(options, [1], [2])
    masked = {group.run.algo: group.run.masks for group in plan.groups}
    assert masked == {"spec_ppo": True, "ppo_mask": True, "ppo": False}
    assert plan.groups[0].run.hyperparameters == {**entry, "mask_actions": True}
    assert (
        "Under the masks of the environments' action_masks(): spec_ppo (given-masked), "
        "ppo_mask (given); ppo (given) may take every action."
    ) in notes(plan, [], 0)


def test_the_zoos_own_evaluations_are_played_under_masks(
    walk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rl_zoo3")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    gym.register("MaskedWalk-v0", walk.replace(".py", ""))
    entry = {"n_timesteps": 64, "policy": "MlpPolicy", "n_steps": 32, "batch_size": 32,
             "n_epochs": 1, "mask_actions": True}  # fmt: skip
    Path("walk.yml").write_text(yaml.safe_dump({"MaskedWalk-v0": entry}))
    words = ["--algo", "spec_ppo", "--env", "MaskedWalk-v0", "-conf", "walk.yml", "-f", "zoo"]
    try:
        words = ["train", *words, "--eval-freq", "32", "--eval-episodes", "2", "--seed", "1"]
        assert zoo(words) == 0
    finally:
        del gym.registry["MaskedWalk-v0"]
    evaluations = np.load("zoo/spec_ppo/MaskedWalk-v0_1/evaluations.npz")
    assert evaluations["timesteps"].tolist() == [32, 64]
    assert callbacks.__dict__["evaluate_policy"] is evaluate_policy


BARE, OURS = ["--env", "CartPole-v1"], "SpecPPO (spec_ppo) with mask_actions needs"
REFUSED: dict[str, tuple[Any, list[str], str]] = {
    "no masks": (train, [*BARE, "--mask-actions"], OURS),
    "no masks, by -P": (train, [*BARE, "-P", "mask_actions:True"], OURS),
    "no masks to tune": (tune, [*BARE, "--mask-actions"], OURS),
    "no masks, by --set": (tune, [*BARE, "--set", "mask_actions=true"], OURS),
    "no masks to compare": (
        compare,
        ["--envs", "CartPole-v1", "--timesteps", "64", "--settings", "default", "--mask-actions"],
        OURS,
    ),
    "no truth value": (train, [*BARE, "-P", "mask_actions:perhaps"], "expected True or False"),
    "another's": (train, [*BARE, "--algo", "ppo", "--mask-actions"], "only spec_ppo takes it"),
    "another's to tune": (
        tune,
        [*BARE, "--algo", "ppo", "--mask-actions"],
        "only spec_ppo takes it",
    ),
    "another's to compare": (
        compare,
        ["--envs", "CartPole-v1", "--timesteps", "64", "--algos", "ppo", "--mask-actions"],
        "only spec_ppo takes it",
    ),
    "when it goes on": (
        train,
        ["--resume", "logs/spec_ppo/Walk_1", "--mask-actions"],
        "the run has its own",
    ),
    "continuous": (
        train,
        ["--env", "still.py:Still", "--mask-actions"],
        "expected Discrete, or MultiDiscrete",
    ),
    "EnvPool": (
        train,
        ["--env", "walk.py:Walk", "--mask-actions", "--vec-env", "envpool"],
        "asks each environment for its masks: use --vec-env dummy",
    ),
}


@pytest.mark.parametrize(("command", "words", "said"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.usefixtures("walk")
def test_what_cannot_work_is_one_line(
    command: Any, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    still = WALK.replace("class Walk", "class Still").replace("Discrete(3)", "Box(-1.0, 1.0, (1,))")
    Path("still.py").write_text(still)
    assert command(words) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
    assert not Path("logs").exists() or not any(Path("logs").rglob("*.zip"))


def test_the_copies_of_a_masked_run_are_stepped_apart(walk: str) -> None:
    recipe = EnvironmentRecipe(walk, masked=True, vec_env="envpool")
    with pytest.raises(ArgumentError, match="in C\\+\\+, and the algorithm asks"):
        recipe.make(2)
    with_vector = EnvironmentRecipe(walk, masked=True, vec_env="vector").make(2, 0)
    with_vector.reset()
    assert with_vector.env_method("action_masks") == [[False, True, True]] * 2


@pytest.mark.slow
def test_a_grid_world_is_trained_and_evaluated_under_masks_in_compiled_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--env", "ppo_lab/GridWorld-v0", "--mask-actions", "--timesteps", "128", *SMALL]
    evaluated = []
    for flags in ([], ["--vec-env", "subproc"]):
        assert train([*words, "--n-envs", "2", "--seed", "3", "--verbose", *flags]) == 0
        said = capsys.readouterr().out
        assert "Using the compiled path" in said
        assert ("Stepping ppo_lab/GridWorld-v0 in Python" in said) == bool(flags)
        run = len(evaluated) + 1
        evaluated.append(np.load(f"logs/spec_ppo/ppo_lab-GridWorld-v0_{run}/evaluations.npz"))
    # The kernels' episodes are those that sb3-contrib plays.
    for name in ("timesteps", "results", "ep_lengths"):
        np.testing.assert_allclose(evaluated[0][name], evaluated[1][name], atol=1e-6)
    assert evaluate(["logs/spec_ppo/ppo_lab-GridWorld-v0_1", "--episodes", "3"]) == 0
    assert "mean return" in capsys.readouterr().out

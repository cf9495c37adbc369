"""Items 8, 12 (evaluations), 13 and 16 of issue 13: PASS or FAIL for each fault.

python tests/reported/scores.py  # from the root of a checkout
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.getcwd())
os.environ["PYTHONPATH"] = os.getcwd()
WORK = Path(tempfile.mkdtemp(prefix="scores-"))
sys.path.insert(0, str(WORK))
os.environ["PYTHONPATH"] += os.pathsep + str(WORK)

(WORK / "odd_envs.py").write_text("""
import os, random, sys, time
import numpy as np
import gymnasium as gym
from gymnasium import spaces
OPEN = set(); KEEP = []
class Odd(gym.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    def __init__(self, fault="", n=4):
        self.fault, self.action_space, self.t = fault, spaces.Discrete(n), 0
        OPEN.add(id(self)); KEEP.append(self)
    def close(self): OPEN.discard(id(self))
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed); self.t = 0
        return np.zeros(2, np.float32), {}
    def step(self, action):
        self.t += 1
        if self.fault == "slow": time.sleep(0.03)
        if self.fault == "exit": raise SystemExit(0)
        if self.fault == "masked": return np.zeros(2, np.float32), float(action), True, False, {}
        reward = random.SystemRandom().random() if self.fault == "unseeded" else 1.0
        return np.zeros(2, np.float32), reward, self.fault != "endless" and self.t >= 10, False, {}
class Masked(Odd):
    def action_masks(self): return np.array([0, 1, 0, 1], bool)
for name in ("slow", "exit", "unseeded", "endless", "plain"):
    gym.register(f"Odd-{name}-v0", entry_point=Odd, kwargs={"fault": name},
                 max_episode_steps=None if name == "endless" else 200)
gym.register("Odd-limit-v0", entry_point=Odd, kwargs={"fault": "slow"}, max_episode_steps=200,
             reward_threshold=500.0)
gym.register("Masked-v0", entry_point=Masked, kwargs={"fault": "masked"}, max_episode_steps=200,
             reward_threshold=5.0)
""")
import gymnasium as gym  # noqa: E402
import odd_envs  # noqa: E402

RESULTS = []


def check(name, function):
    try:
        ok, said = function()
    except BaseException as error:
        ok, said = False, f"{type(error).__name__}: {str(error)[:150]}"
    RESULTS.append(ok)
    print(f"{'PASS' if ok else 'FAIL'}  {name}: {said}", flush=True)


def quiet(main, arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = main(arguments)
        except SystemExit as error:
            code = f"SystemExit {error.code}"
    return code, out.getvalue()


SMALL = [
    "-P",
    "n_steps:16",
    "batch_size:16",
    "n_epochs:1",
    "--eval-freq",
    "0",
    "--eval-episodes",
    "2",
]


def train_measures_nothing():
    from ppo_lab.commands.options import TrainOptions
    from ppo_lab.commands.shared import parse
    from ppo_lab.commands.training import configuration
    from ppo_lab.train import _parser

    began = time.monotonic()
    flags = ["--env", "odd_envs:Odd-slow-v0", *SMALL, "--log-folder", str(WORK)]
    configuration(parse(_parser(), TrainOptions, flags))
    seconds = time.monotonic() - began
    return (
        seconds < 20,
        f"{seconds:.1f} s until training begins (100 episodes of 10 steps of 30 ms are 30 s)",
    )


def exits_are_survived():
    conf = WORK / "small.yml"
    conf.write_text("default: {n_envs: 1, n_steps: 16, batch_size: 16, n_epochs: 1}\n")
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "ppo_lab.compare",
            "--envs",
            "odd_envs:Odd-exit-v0",
            "CartPole-v1",
            "--algos",
            "ppo",
            "--seeds",
            "1",
            "--timesteps",
            "32",
            "--episodes",
            "2",
            "--points",
            "1",
            "--jobs",
            "1",
            "--conf",
            str(conf),
            "--name",
            "exits",
            "--log-folder",
            str(WORK),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    begun = "Comparing" in answer.stdout
    return begun, f"exit {answer.returncode}, runs begun: {begun}"


def masked_reference():
    try:
        from ppo_lab.runs.references import reference_scores
    except ImportError:
        from ppo_lab.runs.environments import reference_scores
    found = reference_scores("odd_envs:Masked-v0", {})
    # the allowed actions are 1 and 3: mean 2; all four: 1.5
    return abs(found.low - 2.0) < 0.4 and found.low != 1.5 and abs(
        found.low - 1.5
    ) > 0.2, f"low {found.low}"


def unseeded_goes_on():
    from ppo_lab import compare

    conf = WORK / "small2.yml"
    conf.write_text("default: {n_envs: 1, n_steps: 16, batch_size: 16, n_epochs: 1}\n")
    arguments = [
        "--envs",
        "odd_envs:Odd-unseeded-v0",
        "--algos",
        "ppo",
        "--seeds",
        "1",
        "--timesteps",
        "32",
        "--episodes",
        "2",
        "--points",
        "1",
        "--jobs",
        "1",
        "--conf",
        str(conf),
        "--name",
        "un",
        "--log-folder",
        str(WORK),
    ]
    first, _ = quiet(compare.main, arguments)
    second, out = quiet(compare.main, arguments)
    return (first, second) == (
        0,
        0,
    ), f"exit {first}, again {second} {out.strip().splitlines()[-1][:120]}"


def endless():
    code = (
        "import sys; from ppo_lab.train import main; "
        f"sys.exit(main({['--env', 'odd_envs:Odd-endless-v0', '--timesteps', '32', *SMALL, '--log-folder', str(WORK)]!r}))"
    )
    try:
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=240
        )
    except subprocess.TimeoutExpired:
        return False, "still running after 240 s"
    line = answer.stderr.strip().splitlines()[-1]
    return answer.returncode == 1 and "did not end within" in line, line[-150:]


def closed():
    from ppo_lab import evaluate, train
    from ppo_lab.vec_env.compiled import has_world

    odd_envs.OPEN.clear()
    quiet(
        train.main,
        ["--env", "odd_envs:Odd-plain-v0", "--timesteps", "32", *SMALL, "--log-folder", str(WORK)],
    )
    after_train = len(odd_envs.OPEN)
    quiet(evaluate.main, [str(WORK / "spec_ppo" / "Odd-plain-v0_1"), "--episodes", "2"])
    has_world("odd_envs:Odd-plain-v0")
    return len(odd_envs.OPEN) == 0, f"{after_train} open after train, {len(odd_envs.OPEN)} in all"


def exact_scores():
    from envs.planning import policy_return
    from ppo_lab.exact import model_policy
    from ppo_lab.registry import algorithm_class
    from ppo_lab.runs.config import Evaluation, RunConfig
    from ppo_lab.runs.execution import execute_run

    worst = 0.0
    for algo, settings in (
        ("spec_ppo", {"n_steps": 64, "batch_size": 64}),
        ("ppo", {"n_steps": 64, "batch_size": 64}),
        ("a2c", {}),
    ):
        env = "ppo_lab/NoisyGridWorld-v0"
        config = RunConfig(algo, env, 0, 1024, 1, "MlpPolicy", settings, Evaluation(100, 7000, 2))
        folder = WORK / f"exact-{algo}"
        score = execute_run(config, folder).score
        model = algorithm_class(algo).load(folder / "ppo_lab-NoisyGridWorld-v0.zip", device="cpu")
        single = gym.make(env)
        exact = policy_return(single.unwrapped.mdp, model_policy(model, single), 100)
        worst = max(worst, abs(score - exact))
    return worst < 1e-9, f"largest difference of a score from dynamic programming {worst:.2g}"


def own_seeds():
    from ppo_lab import compare

    conf = WORK / "small3.yml"
    conf.write_text("default: {n_envs: 1, n_steps: 16, batch_size: 16, n_epochs: 1}\n")
    quiet(
        compare.main,
        [
            "--envs",
            "CartPole-v1",
            "--algos",
            "ppo",
            "spec_ppo",
            "--seeds",
            "5",
            "--timesteps",
            "32",
            "--episodes",
            "2",
            "--points",
            "1",
            "--jobs",
            "1",
            "--conf",
            str(conf),
            "--name",
            "seeds",
            "--log-folder",
            str(WORK),
        ],
    )
    seeds = {}
    for file in sorted(WORK.glob("seeds/runs/*/*/run.json")):
        record = json.loads(file.read_text())
        seeds.setdefault(record["algo"], []).append(record["evaluation"]["seed"])
    ok = len(set(seeds["ppo"])) == 5 and set(seeds["ppo"]) == set(seeds["spec_ppo"])
    report = (WORK / "seeds" / "report.md").read_text()
    ok = ok and "evaluation protocol" not in report
    return ok, f"{seeds}"


def train_seeds_share_no_episode():
    from ppo_lab.commands.options import TrainOptions
    from ppo_lab.commands.shared import parse
    from ppo_lab.commands.training import configuration
    from ppo_lab.train import _parser

    seeds = [
        configuration(
            parse(
                _parser(),
                TrainOptions,
                ["--env", "CartPole-v1", "--seed", str(seed), *SMALL, "--log-folder", str(WORK)],
            )
        ).evaluation.seed
        for seed in (0, 1)
    ]
    return abs(
        seeds[1] - seeds[0]
    ) >= 50, f"evaluation seeds of two seeds: {seeds} (50 environments follow each)"


if __name__ == "__main__":
    check("8 train without a threshold measures nothing", train_measures_nothing)
    check("8 SystemExit of an environment does not end compare", exits_are_survived)
    check("8 the random policy takes allowed actions alone", masked_reference)
    check("8 the same compare on an unseeded environment goes on", unseeded_goes_on)
    check("12 an evaluation that never ends fails the run", endless)
    check("13 environments are closed", closed)
    check("16 scores of finite MDPs are exact", exact_scores)
    check("16 an evaluation seed for each run index, the same for all labels", own_seeds)
    check("16 two seeds of train share no evaluation episode", train_seeds_share_no_episode)
    from loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)
    sys.exit(0 if all(RESULTS) else 1)

"""Items 12, 18, 19, 26 and 28 (folder deleted): PASS or FAIL a fault. Run from a checkout's root."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOME = Path.cwd()
ENV = """
import os, signal, sys, time
import gymnasium as gym
import numpy as np
from gymnasium import spaces
FAULTS = {
    "exit0": lambda: sys.exit(), "exit3": lambda: sys.exit(3), "ctrlc": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
    "genexit": lambda: (_ for _ in ()).throw(GeneratorExit()), "os0": lambda: os._exit(0), "os1": lambda: os._exit(1),
    "abort": os.abort, "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV), "hang": lambda: time.sleep(10_000),
}
class Faulty(gym.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    def __init__(self, render_mode=None):
        self.where, self.fault = os.environ.get("WHERE", ""), os.environ.get("FAULT", "")
        self.bad = False
        self._go("init", True)
    def _go(self, where, bad=None):
        if where == self.where and (self.bad if bad is None else bad): FAULTS[self.fault]()
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        only = os.environ.get("BADSEED")
        if seed is not None: self.bad = only is None or seed == int(only)
        self.n = 0
        self._go("reset")
        return np.zeros(2, np.float32), {}
    def step(self, action):
        self.n += 1
        time.sleep(float(os.environ.get("SLOW", "0")))
        if self.n == 3: self._go("step")
        return np.zeros(2, np.float32), 1.0, self.n == 5, False, {}
    def close(self):
        self._go("close", True)
gym.register("Faulty-v0", entry_point="faulty_show:Faulty", max_episode_steps=5)
gym.register("Noop-v0", entry_point="faulty_show:Faulty", max_episode_steps=5)
"""
BOX = Path(tempfile.mkdtemp(prefix="faults-"))
(BOX / "faulty_show.py").write_text(ENV)
(BOX / "small.yml").write_text(
    "default:\n  n_envs: 2\n  n_steps: 16\n  batch_size: 16\n  n_epochs: 1\n"
)
ID = "faulty_show:Faulty-v0"
failures = 0
only = sys.argv[1:]


def show(name, good, detail=""):
    global failures
    failures += not good
    print(f"{'PASS' if good else 'FAIL'}  {name}" + ("" if good else f"   [{detail}]"), flush=True)


def environ(**more):
    return {**os.environ, "PYTHONPATH": f"{HOME}{os.pathsep}{BOX}", **more}


def run(*words, timeout=120, **env):
    try:
        got = subprocess.run(
            [sys.executable, "-m", *words],
            env=environ(**env),
            cwd=BOX,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return got.returncode, got.stdout, got.stderr
    except subprocess.TimeoutExpired as late:
        return "timeout", str(late.stdout), str(late.stderr)


def start(*words, **env):
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        env=environ(**env),
        cwd=BOX,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def compare(folder, *more, **env):
    words = [
        "ppo_lab.compare",
        "--algos",
        "ppo",
        "--envs",
        ID,
        "--seeds",
        "2",
        "--timesteps",
        "64",
        "--jobs",
        "2",
        "--episodes",
        "3",
        "--points",
        "2",
        "--conf",
        "small.yml",
        "--log-folder",
        str(BOX / folder),
    ]
    return run(*words, *more, **env)


def one(err):
    lines = [line for line in err.splitlines() if "is unpickled" not in line]
    return len(lines) == 1 and "Traceback" not in err


def records(folder):
    return [json.loads(p.read_text()) for p in sorted((BOX / folder).glob("**/run.json"))]


def section(name):
    return not only or name in only


if section("environment"):
    for fault in ("exit0", "exit3", "ctrlc", "genexit", "os0", "os1", "abort", "segv"):
        name = f"compare-{fault}"
        # the second test seed's first environment
        code, out, err = compare(name, WHERE="reset", FAULT=fault, BADSEED="100100")
        states = sorted(r["status"] for r in records(name))
        show(
            f"compare: {fault} in reset of one of two runs: the other goes on, exit 1, one line",
            code == 1 and one(err) and states == ["completed", "failed"],
            f"{code} {states} {err[-300:]}",
        )
    for where in ("init", "close"):
        for fault in ("exit0", "ctrlc", "os0"):
            if where == "close" and fault == "os0":
                continue
            code, out, err = compare(f"compare-{where}-{fault}", WHERE=where, FAULT=fault)
            show(
                f"compare: {fault} in {where}: exit 1 or 2, one line",
                code in (1, 2) and one(err),
                f"{code} {err[-300:]}",
            )
    train = [
        "ppo_lab.train",
        "--env",
        ID,
        "--timesteps",
        "64",
        "-P",
        "n_steps:16",
        "batch_size:16",
        "--log-folder",
    ]
    for where, fault in (
        ("step", "exit0"),
        ("step", "ctrlc"),
        ("init", "exit0"),
        ("close", "genexit"),
    ):
        name = f"train-{where}-{fault}"
        code, out, err = run(*train, str(BOX / name), WHERE=where, FAULT=fault)
        show(
            f"train: {fault} in {where}: exit not 0, one line",
            code in (1, 2) and one(err),
            f"{code} {err[-300:]}",
        )
if section("tune-evaluate"):
    train = [
        "ppo_lab.train",
        "--env",
        ID,
        "--timesteps",
        "64",
        "-P",
        "n_steps:16",
        "batch_size:16",
        "--log-folder",
    ]
    tune = [
        "ppo_lab.tune",
        "--env",
        ID,
        "--algo",
        "ppo",
        "--trials",
        "2",
        "--seeds",
        "1",
        "--replicas",
        "1",
        "--finalists",
        "1",
        "--timesteps",
        "64",
        "--set",
        "n_steps=8",
        "--jobs",
        "2",
        "--log-folder",
    ]
    for where, fault in (("step", "exit0"), ("step", "os1"), ("init", "exit0")):
        name = f"tune-{where}-{fault}"
        code, out, err = run(*tune, str(BOX / name), WHERE=where, FAULT=fault)
        show(
            f"tune: {fault} in {where}: exit not 0, one line",
            code in (1, 2) and one(err),
            f"{code} {err[-300:]}",
        )
    code, _, err = run(*train, str(BOX / "ok"))
    model = str(BOX / "ok" / "spec_ppo" / "Faulty-v0_1")
    for where, fault in (("step", "exit0"), ("reset", "ctrlc")):
        code, out, err = run("ppo_lab.evaluate", model, "--episodes", "3", WHERE=where, FAULT=fault)
        show(
            f"evaluate: {fault} in {where}: exit 1, one line",
            code == 1 and one(err),
            f"{code} {err[-300:]}",
        )

if section("hang"):
    began = time.time()
    code, out, err = compare(
        "hang", "--run-timeout", "15", WHERE="reset", FAULT="hang", BADSEED="100100", timeout=100
    )
    states = sorted(r["status"] for r in records("hang"))
    show(
        "compare --run-timeout 15: the hanging run is failed and named, the other completed",
        code == 1
        and one(err)
        and "did not finish within 15 s (--run-timeout)" in err
        and states == ["completed", "failed"],
        f"{code} {states} {err[-300:]}",
    )
    code, out, err = run(
        "ppo_lab.tune",
        "--env",
        ID,
        "--algo",
        "ppo",
        "--trials",
        "2",
        "--seeds",
        "1",
        "--replicas",
        "1",
        "--finalists",
        "1",
        "--timesteps",
        "64",
        "--set",
        "n_steps=8",
        "--jobs",
        "2",
        "--run-timeout",
        "4",
        "--log-folder",
        str(BOX / "hangtune"),
        WHERE="step",
        FAULT="hang",
        timeout=100,
    )
    show(
        "tune --run-timeout 4: exit 1, one line that names the environment",
        code == 1 and one(err) and "Faulty-v0 did not finish within 4 s" in err,
        f"{code} {err[-300:]}",
    )

SMALL = [
    "ppo_lab.tune",
    "--env",
    "ppo_lab/NoisyGridWorld-v0",
    "--algo",
    "ppo",
    "--trials",
    "2",
    "--seeds",
    "3",
    "--replicas",
    "1",
    "--finalists",
    "1",
    "--timesteps",
    "4000",
    "--jobs",
    "2",
]
FILES = [
    "report.md",
    "report.html",
    "tables/table.csv",
    "tables/scores.csv",
    "trials-ppo.csv",
    "ppo.yml",
]


def workers(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
            if (
                int(text.rsplit(")", 1)[1].split()[1]) == parent
                and "loky" in (stat.parent / "cmdline").read_text()
            ):
                if "resource_tracker" not in (stat.parent / "cmdline").read_text():
                    found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


if section("kills"):
    code, out, err = run(*SMALL, "--log-folder", str(BOX / "quiet"), timeout=400)
    assert code == 0, err
    process = start(*SMALL, "--log-folder", str(BOX / "killed"))
    study = BOX / "killed" / "tune-ppo_lab-NoisyGridWorld-v0"
    kills, rng = 0, random.Random(0)
    while process.poll() is None and kills < 4:
        if list(study.glob("judge/*/.*.part-*")):
            # in the judging stage: whoever works is killed, a beat later again: the retry, too
            for pid in workers(process.pid):
                os.kill(pid, signal.SIGKILL)
                kills += 1
            time.sleep(0.2)
        time.sleep(0.02)
    out, err = process.communicate()
    first = process.returncode
    for _ in range(4):
        code, out, err2 = run(*SMALL, "--log-folder", str(BOX / "killed"), timeout=400)
        if code == 0:
            break
    name = "tune-ppo_lab-NoisyGridWorld-v0"
    same = [
        f
        for f in FILES
        if (BOX / "quiet" / name / f).read_bytes() == (BOX / "killed" / name / f).read_bytes()
    ]
    show(
        f"tune: {kills} workers killed while judging (first exit {first}): the same command repairs it, same bytes",
        kills >= 4 and code == 0 and same == FILES,
        f"{first} {code} {sorted(set(FILES) - set(same))} {err[-200:]} {err2[-200:]}",
    )

if section("folder"):
    import shutil

    for command, words, sign in (
        (
            "compare",
            [
                "ppo_lab.compare",
                "--algos",
                "ppo",
                "--envs",
                ID,
                "--seeds",
                "4",
                "--timesteps",
                "2000",
                "--jobs",
                "1",
                "--episodes",
                "3",
                "--points",
                "2",
                "--conf",
                "small.yml",
            ],
            "**/.*.part-*",
        ),
        (
            "train",
            [
                "ppo_lab.train",
                "--env",
                ID,
                "--timesteps",
                "4000",
                "-P",
                "n_steps:100",
                "batch_size:100",
            ],
            "**/.*.part-*",
        ),
        (
            "tune",
            [
                "ppo_lab.tune",
                "--env",
                ID,
                "--algo",
                "ppo",
                "--trials",
                "4",
                "--seeds",
                "1",
                "--timesteps",
                "2000",
                "--set",
                "n_steps=16",
                "--jobs",
                "1",
            ],
            "**/.*.part-*",
        ),
    ):
        logs = BOX / f"gone-{command}"
        process = start(*words, "--log-folder", str(logs), SLOW="0.002")
        while process.poll() is None and not list(logs.glob(sign)):
            time.sleep(0.05)
        time.sleep(1.0)
        while logs.exists():
            shutil.rmtree(logs, ignore_errors=True)
        try:
            out, err = process.communicate(timeout=120)
            show(
                f"{command}: log folder deleted in mid-run: exit 1, one line",
                process.returncode == 1 and one(err),
                f"{process.returncode} {err[-400:]}",
            )
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            show(f"{command}: log folder deleted in mid-run", False, "did not end")

print(f"{failures} failed")
sys.exit(bool(failures))

"""Items 9, 10, 14, 27, 28 (damaged finished runs): PASS or FAIL per fault; run from a checkout's root."""

import base64
import contextlib
import io
import json
import os
import pickle
import shutil
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

sys.path.insert(0, os.getcwd())
warnings.simplefilter("ignore")
import gymnasium as gym
import numpy as np

from ppo_lab.compare import main as compare
from ppo_lab.evaluate import main as evaluate
from ppo_lab.report import main as report
from ppo_lab.train import main as train
from reports.logs.loading import load_runs

TMP = Path(tempfile.mkdtemp())
failed = 0


def run(command, *words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command([str(w) for w in words])
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def show(name):
    def wrap(check):
        global failed
        try:
            ok, what = check()
        except BaseException as error:
            ok, what = False, f"{type(error).__name__}: {str(error)[:160]}"
        failed += not ok
        print(f"{'PASS' if ok else 'FAIL'}  {name}: {what}")

    return wrap


class Drifting(gym.Env):
    """Continuous actions are rewarded by their distance to what is seen: any other statistics show."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-2, 2, (1,), np.float32)

    def _obs(self):
        return self.np_random.normal(3, 2, 1).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self.o = self._obs()
        return self.o, {}

    def step(self, action):
        self.t += 1
        reward = -abs(float(action[0]) - np.sin(float(self.o[0])))
        self.o = self._obs()
        return self.o, reward, False, self.t == 20, {}


gym.register("ShowDrifting-v0", Drifting)
QUICK = ["--eval-episodes", 5, "-P", "n_steps:64", "batch_size:32", "n_epochs:2"]


@show("9 best checkpoint with its own statistics")
def _():
    logs = TMP / "nine"
    from stable_baselines3.common.evaluation import evaluate_policy

    from ppo_lab.runs.saved_model import find_saved_run, load_model, make_environments

    told = []
    for number, seed in enumerate((1, 2, 3), 1):
        code, out, err = run(
            train,
            "--env",
            "ShowDrifting-v0",
            "--timesteps",
            1024,
            "--log-folder",
            logs,
            "--seed",
            seed,
            "--eval-episodes",
            5,
            "-P",
            "n_steps:64",
            "batch_size:32",
            "n_epochs:10",
            "normalize:True",
            "learning_rate:0.02",
        )
        folder = logs / "spec_ppo" / f"ShowDrifting-v0_{number}"
        best = np.load(folder / "evaluations.npz")["results"].mean(axis=1).max()
        # The same evaluation, by hand: the best model with what evaluate takes for it.
        saved = find_saved_run(folder)
        if hasattr(saved, "model_file"):
            env = make_environments(saved, 5, 0, saved.statistics("best")[0])
            model = load_model(saved, env, saved.model_file("best"))
        else:
            env = make_environments(saved, 5, 0)
            model = load_model(saved, env, "best")
        env.seed(json.loads((folder / "run.json").read_text())["evaluation"]["seed"])
        mean, _ = evaluate_policy(model, env, n_eval_episodes=5)
        told.append((best, mean))
    return all(abs(a - b) < 1e-6 for a, b in told), f"(recorded, evaluated) {told}"


@show("9 statistics missing from a normalised run: refused, not played without")
def _():
    folder = TMP / "nine" / "spec_ppo" / "ShowDrifting-v0_1"
    gone = TMP / "gone" / "ShowDrifting-v0_1"
    shutil.copytree(folder, gone)
    (gone / "ShowDrifting-v0" / "vecnormalize.pkl").unlink()
    code, out, err = run(evaluate, gone, "--episodes", 5)
    return code != 0 and "statistics" in err and "Traceback" not in err, (out + err).strip()[:140]


@show("9 an old folder's best model: the final statistics, said")
def _():
    old = TMP / "old" / "ShowDrifting-v0_1"
    shutil.copytree(TMP / "nine" / "spec_ppo" / "ShowDrifting-v0_1", old)
    (old / "best_vecnormalize.pkl").unlink(missing_ok=True)
    code, out, err = run(evaluate, old, "--episodes", 5, "--checkpoint", "best")
    return code == 0 and "stand in" in err, err.strip()[:160]


def two(*flags):
    logs = Path(tempfile.mkdtemp(dir=TMP))
    for f in flags:
        assert run(train, *f, "--log-folder", logs)[0] == 0
    return logs


@show("10 different hyperparameters are two labels")
def _():
    common = ["--timesteps", 600, "--eval-episodes", 3, "--eval-freq", 0]
    logs = two(
        [*common, "-P", "n_steps:300", "batch_size:50", "n_epochs:1"],
        [*common, "-P", "n_steps:100", "batch_size:50", "n_epochs:1"],
    )
    labels = sorted({r.label for r in load_runs(logs).runs})
    return labels == ["spec_ppo (given, n_steps=100)", "spec_ppo (given, n_steps=300)"], labels


@show("10 different budgets are two labels")
def _():
    common = [
        "--eval-episodes",
        3,
        "--eval-freq",
        0,
        "-P",
        "n_steps:64",
        "batch_size:32",
        "n_epochs:1",
    ]
    logs = two(["--timesteps", 128, *common], ["--timesteps", 640, *common])
    loaded = load_runs(logs)
    labels = sorted({r.label for r in loaded.runs})
    return len(labels) == 2 and not loaded.set_aside, (labels, loaded.set_aside)


@show("10 a resumed run replaces its source, chains and moved folders included")
def _():
    common = ["--eval-episodes", 3, "--eval-freq", 0]
    logs = two(["--timesteps", 128, *common, "-P", "n_steps:64", "batch_size:32", "n_epochs:1"])
    for number, steps in ((1, 256), (2, 384)):
        assert (
            run(
                train,
                "--resume",
                logs / "spec_ppo" / f"CartPole-v1_{number}",
                "--timesteps",
                steps,
                "--eval-freq",
                0,
                "--log-folder",
                logs,
            )[0]
            == 0
        )
    moved = TMP / "moved"
    logs.rename(moved)
    loaded = load_runs(moved)
    return [r.folder for r in loaded.runs] == ["spec_ppo/CartPole-v1_3"], (
        [r.folder for r in loaded.runs],
        [a.reason[:60] for a in loaded.set_aside],
    )


@show("10 two seeds of one train do not differ in protocol")
def _():
    common = [
        "--timesteps",
        128,
        "--eval-episodes",
        3,
        "--eval-freq",
        0,
        "-P",
        "n_steps:64",
        "batch_size:32",
        "n_epochs:1",
    ]
    logs = two([*common, "--seed", 0], [*common, "--seed", 1])
    code, out, err = run(report, logs, "--out", TMP / "r", "--format", "html", "md")
    text = (
        "".join(p.read_text() for p in (TMP / "r").rglob("*.md"))
        + (TMP / "r" / "report.html").read_text()
    )
    return (
        code == 0 and "same evaluation protocol" not in text,
        "no such caution" if "same evaluation protocol" not in text else "said to differ",
    )


@show("14 TensorBoard: a resumed run writes into no other run's folder")
def _():
    logs, tb = TMP / "tbl", TMP / "tb"
    flags = [
        "--timesteps",
        128,
        "--eval-episodes",
        1,
        "--eval-freq",
        0,
        "--tensorboard",
        tb,
        "--log-folder",
        logs,
    ]
    hyper = ["-P", "n_steps:64", "batch_size:32", "n_epochs:1"]
    for seed in (0, 1):
        assert run(train, *flags, *hyper, "--seed", seed)[0] == 0
    before = {
        p: sorted(q.name for q in p.iterdir())
        for p in tb.rglob("*")
        if p.is_dir() and any(q.is_file() for q in p.iterdir())
    }
    assert (
        run(
            train,
            "--resume",
            logs / "spec_ppo" / "CartPole-v1_1",
            "--timesteps",
            256,
            "--eval-freq",
            0,
            "--tensorboard",
            tb,
            "--log-folder",
            logs,
        )[0]
        == 0
    )
    after = {
        p: sorted(q.name for q in p.iterdir())
        for p in tb.rglob("*")
        if p.is_dir() and any(q.is_file() for q in p.iterdir())
    }
    same = all(after[p] == names for p, names in before.items())
    return same and len(after) == 3, [str(p.relative_to(tb)) for p in after]


from ppo_lab import SpecPPO


@show("27 SpecPPO.load of other algorithms' models is refused by name")
def _():
    from sb3_contrib import TRPO, MaskablePPO, RecurrentPPO
    from stable_baselines3 import A2C, DQN, PPO, SAC

    class M(gym.Wrapper):
        def action_masks(self):
            return np.ones(2, bool)

    made = [
        (A2C, "MlpPolicy", "CartPole-v1"),
        (DQN, "MlpPolicy", "CartPole-v1"),
        (SAC, "MlpPolicy", "Pendulum-v1"),
        (TRPO, "MlpPolicy", "CartPole-v1"),
        (RecurrentPPO, "MlpLstmPolicy", "CartPole-v1"),
        (MaskablePPO, "MlpPolicy", M(gym.make("CartPole-v1"))),
    ]
    said = {}
    for kind, policy, env in made:
        file = TMP / f"m_{kind.__name__}"
        kind(policy, env, device="cpu").save(file)
        try:
            SpecPPO.load(file, device="cpu")
            said[kind.__name__] = "loaded"
        except Exception as error:
            said[kind.__name__] = (
                "named"
                if kind.__name__ in str(error) and "SpecPPO.load takes" in str(error)
                else f"{type(error).__name__}: {error}"[:60]
            )
    PPO("MlpPolicy", "CartPole-v1", device="cpu").save(TMP / "m_ppo")
    SpecPPO.load(TMP / "m_ppo", device="cpu")
    SpecPPO.load(str(TMP / "m_ppo.zip"), device="cpu")
    SpecPPO.load(io.BytesIO((TMP / "m_ppo.zip").read_bytes()), device="cpu")
    return set(said.values()) == {"named"}, said


PLAIN = TMP / "plain"


@show("27 'unpickles' is said at run time; --no-pickle plays the same episodes")
def _():
    assert run(train, "--timesteps", 256, *QUICK, "--log-folder", PLAIN)[0] == 0
    folder = PLAIN / "spec_ppo" / "CartPole-v1_1"
    code, out, err = run(evaluate, folder, "--episodes", 8)
    code2, out2, err2 = run(evaluate, folder, "--episodes", 8, "--no-pickle")
    return code == code2 == 0 and out == out2 and "unpickled" in err and not err2, (
        code,
        code2,
        err.strip()[:60],
        err2.strip()[:60],
    )


@show("27 --no-pickle executes nothing of a hostile model")
def _():
    hostile = TMP / "hostile" / "CartPole-v1_1"
    shutil.copytree(PLAIN / "spec_ppo" / "CartPole-v1_1", hostile)
    trap = TMP / "sprung"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(trap),)

    file = hostile / "CartPole-v1.zip"
    with zipfile.ZipFile(file) as z:
        members = {n: z.read(n) for n in z.namelist()}
    data = json.loads(members["data"])
    for key in data:
        if isinstance(data[key], dict) and ":serialized:" in data[key]:
            data[key][":serialized:"] = base64.b64encode(pickle.dumps(Trap())).decode()
    members["data"] = json.dumps(data).encode()
    with zipfile.ZipFile(file, "w") as z:
        for n, c in members.items():
            z.writestr(n, c)
    code, out, err = run(evaluate, hostile, "--episodes", 2, "--no-pickle")
    return code == 0 and not trap.exists(), (code, trap.exists(), err.strip()[:80])


@show("27 hostile YAML and JSON of evaluate and --resume: one line each")
def _():
    bad = []
    folder = TMP / "yaml" / "CartPole-v1_1"
    shutil.copytree(PLAIN / "spec_ppo" / "CartPole-v1_1", folder)
    texts = {
        "timestamp": "algo: !!timestamp x\n",
        "deep": "a: " + "[" * 20000,
        "int": "a: !!int x\n",
        "binary": "a: !!binary é\n",
        "big": "#" * 30_000_000,
        "bool": "a: !!bool x",
        "float": "a: !!float x",
    }
    whole = (folder / "CartPole-v1" / "config.yml").read_text()
    for name, text in texts.items():
        (folder / "CartPole-v1" / "config.yml").write_text(text, encoding="utf-8")
        try:
            code, out, err = run(evaluate, folder, "--episodes", 1)
            if code == 0 or err.count("\n") != 1:
                bad.append((name, code, err[:60]))
        except BaseException as error:
            bad.append((name, type(error).__name__))
    (folder / "CartPole-v1" / "config.yml").write_text(whole)
    record = json.loads((folder / "run.json").read_text())
    for name, text in {
        "deep": "[" * 100000,
        "list": "[]",
        "env": json.dumps({**record, "env": 5}),
        "steps": json.dumps({**record, "steps": "x"}),
        "digits": '{"a": ' + "1" * 5000 + "}",
        "hyper": json.dumps({**record, "hyperparameters": 3}),
    }.items():
        (folder / "run.json").write_text(text)
        try:
            code, out, err = run(
                train, "--resume", folder, "--timesteps", 512, "--log-folder", TMP / "yl"
            )
            if code == 0 or err.count("\n") != 1:
                bad.append((name, code, err[:60]))
        except BaseException as error:
            bad.append((name, type(error).__name__))
    return not bad, bad or "all one line"


@show("28 a finished run whose files are damaged is made again (compare)")
def _():
    logs = TMP / "cmp"
    command = [
        "--algos",
        "spec_ppo",
        "--envs",
        "CartPole-v1",
        "--seeds",
        2,
        "--timesteps",
        256,
        "--episodes",
        5,
        "--points",
        2,
        "--settings",
        "default",
        "--jobs",
        1,
        "--log-folder",
        logs,
    ]
    conf = TMP / "c.yml"
    conf.write_text("default: {n_steps: 64, batch_size: 32, n_epochs: 1}")
    command += ["--conf", conf]
    first = run(compare, *command)
    assert first[0] == 0, first
    folders = sorted((logs / "compare-CartPole-v1" / "runs").glob("*/CartPole-v1_*"))
    bad = []
    for name in ("CartPole-v1.zip", "evaluations.npz", "run.json", "best_model.zip"):
        for damage in ("empty", "half", "gone"):
            file = folders[0] / name
            whole = file.read_bytes()
            {
                "empty": lambda: file.write_bytes(b""),
                "half": lambda: file.write_bytes(whole[: len(whole) // 2]),
                "gone": file.unlink,
            }[damage]()
            code, out, err = run(compare, *command)
            try:
                ok = code == 0 and (len(file.read_bytes()) > len(whole) // 2)
                if name.endswith(("zip", "npz")):
                    zipfile.ZipFile(file).close()
                else:
                    json.loads(file.read_text())
            except Exception:
                ok = False
            if not ok:
                bad.append((name, damage))
            if not file.exists() or not ok:
                file.write_bytes(whole)
    return not bad, bad or "all made again"


@show("28 a damaged finished run is made again (train)")
def _():
    logs = TMP / "trn"
    flags = ["--timesteps", 256, *QUICK, "--log-folder", logs]
    run(train, *flags)
    file = logs / "spec_ppo" / "CartPole-v1_1" / "CartPole-v1.zip"
    file.write_bytes(b"")
    code, out, err = run(train, *flags)
    return code == 0 and zipfile.is_zipfile(file), (out + err).strip()[-120:]


shutil.rmtree(TMP, ignore_errors=True)
print("failed:", failed)
sys.exit(bool(failed))

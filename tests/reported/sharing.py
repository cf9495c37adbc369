"""Items 20, 21, 23, 25, 28 of issue 13: one line PASS or FAIL for each fault.

Words after the script choose faults by their names. Run from the root of a checkout with its interpreter: ``python tests/reported/sharing.py``.
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
warnings.simplefilter("ignore")
os.environ.setdefault("OMP_NUM_THREADS", "1")
ENV = {**os.environ, "PYTHONPATH": str(Path.cwd()), "PYTHONWARNINGS": "ignore"}
FAILED = []


def fault(name):
    def decorate(body):
        if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
            return body
        with tempfile.TemporaryDirectory() as folder:
            try:
                said = body(Path(folder))
                good = said is None or said is True
            except BaseException as error:
                good, said = False, "".join(traceback.format_exception_only(error)).strip()[:200]
        print(f"{'PASS' if good else 'FAIL'}  {name}" + ("" if good else f"  [{said}]"), flush=True)
        if not good:
            FAILED.append(name)
        return body

    return decorate


def command(main, *words):
    """(exit code, stdout, stderr) of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def wait_for(condition, process, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < deadline, "too long"
        time.sleep(0.02)


def popen(module, *words):
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


TRAIN = ["--algo", "ppo", "--eval-freq", "0", "--eval-episodes", "1"]


@fault("20 train of a living run: exit 1, says who, does not advise removing, and it lives on")
def _(logs):
    from ppo_lab.train import main

    flags = [*TRAIN, "--timesteps", "60000", "--save-freq", "2048", "--log-folder", str(logs)]
    aside = logs / "ppo" / "CartPole-v1_1.unfinished"
    with popen("ppo_lab.train", *flags) as first:
        wait_for(lambda: list(aside.glob("rl_model_*_steps.zip")), first)
        code, _, err = command(main, *flags)
        told = f"process {first.pid} on" in err and "remove" not in err and err.count("\n") == 1
        beside, _, errors = command(
            main,
            *TRAIN,
            "--timesteps",
            "64",
            "-P",
            "n_steps:32",
            "batch_size:32",
            "--seed",
            "9",
            "--log-folder",
            str(logs),
        )
        living = first.poll() is None
        first.kill()
    return (
        code == 1 and told and living and beside == 0
    ) or f"{code} {living} {beside} {err} {errors}"


@fault("20 the same compare twice: the second exits 1 with the first's number; the first finishes")
def _(logs):
    flags = [
        "--envs",
        "CartPole-v1",
        "--algos",
        "ppo",
        "--settings",
        "default",
        "--seeds",
        "1",
        "--timesteps",
        "8192",
        "--jobs",
        "1",
        "--points",
        "1",
        "--episodes",
        "2",
        "--log-folder",
        str(logs),
    ]
    with popen("ppo_lab.compare", *flags) as first:
        wait_for(lambda: list(logs.glob("compare*/runs/*/.*.part-*")), first)
        with popen("ppo_lab.compare", *flags) as second:
            _, err = second.communicate(timeout=400)
        _, errors = first.communicate(timeout=600)
    told = f"process {first.pid} on" in err
    return (second.returncode == 1 and told and first.returncode == 0) or (
        second.returncode,
        err,
        first.returncode,
        errors[-200:],
    )


@fault("20 two databases made at once on one file")
def _(logs):
    from tuning.storage import open_storage

    for repetition in range(6):
        errors, barrier = [], threading.Barrier(4)

        def make(repetition=repetition, barrier=barrier, errors=errors):
            barrier.wait()
            try:
                open_storage(f"sqlite:///{logs}/{repetition}.db").get_all_studies()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=make) for _ in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        if errors:
            return str(errors[0])[:200]
    return None


def tasks_of(url, study="s", **more):
    import optuna

    from tuning.heart import Heart
    from tuning.storage import open_storage
    from tuning.work_list import WorkList

    storage = open_storage(url)
    made = optuna.create_study(
        study_name=study, storage=storage, direction="maximize", load_if_exists=True
    )
    return WorkList(made, storage, Heart(storage), **more)


def offered_at_once(url, workers=3, count=16):
    lists = [tasks_of(url) for _ in range(workers)]
    names, barrier, errors = [str(n) for n in range(count)], threading.Barrier(workers), []

    def go(work_list):
        barrier.wait()
        try:
            work_list.offer(names)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=go, args=(t,)) for t in lists]
    [t.start() for t in threads]
    [t.join() for t in threads]
    found = lists[0].study.get_trials()
    for work_list in lists:  # a server waits for its clients
        work_list.heart.stop()
        work_list.storage.engine.dispose()
    counted = Counter(t.user_attrs["task"] for t in found)
    if errors:
        return str(errors[0])[:200]
    return (
        len(counted) == count and set(counted.values()) == {1}
    ) or f"{sum(counted.values())} trials of {count} tasks"


@fault("21 three workers offer at once on SQLite: each task once")
def _(logs):
    return offered_at_once(f"sqlite:///{logs}/a.db")


@fault("21 three workers offer at once on PostgreSQL: each task once")
def _(logs):
    from tests.tuning.postgresql import binaries, server

    programs = binaries()
    if programs is None:
        print("      (no PostgreSQL server is installed)")
        return None
    with server(programs) as url:
        return offered_at_once(url)


@fault("21 two processes never both claim one trial of an SQLite file")
def _(logs):
    url, names = f"sqlite:///{logs}/a.db", [str(n) for n in range(40)]
    first, second = tasks_of(url), tasks_of(url)
    first.offer(names)
    second.refresh()
    barrier, won, errors = threading.Barrier(2), [], []

    def go(work_list):
        for name in names:
            barrier.wait()
            try:
                if work_list.claim([name], lambda _: True):
                    won.append(name)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=go, args=(t,)) for t in (first, second)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    if errors:
        return str(errors[0])[:200]
    return sorted(won) == sorted(names) or f"{len(won)} claims of {len(names)} trials"


@fault("21 a task given up by a process that died before letting it wait is not lost")
def _(logs):
    from optuna.trial import TrialState

    work_list = tasks_of(f"sqlite:///{logs}/a.db")
    work_list.offer(["0"])
    work_list.storage.set_trial_state_values(
        work_list.study.get_trials()[0]._trial_id, TrialState.FAIL
    )
    work_list.offer(["0"])
    return work_list.study.get_trials()[-1].state == TrialState.WAITING


@fault("28 a claim without an owner is spoken of and tried again after the grace")
def _(logs):
    from optuna.trial import TrialState

    said = []
    work_list = tasks_of(f"sqlite:///{logs}/a.db", grace=4.0, say=said.append)
    work_list.offer(["0"])
    work_list.storage.set_trial_state_values(
        work_list.study.get_trials()[0]._trial_id, TrialState.RUNNING
    )
    until = time.monotonic() + 30
    while len(work_list.study.get_trials()) < 2 and time.monotonic() < until:
        work_list.refresh()
        work_list.retry_lost(1)
        time.sleep(0.2)
    states = [t.state.name for t in work_list.study.get_trials()]
    return (states == ["FAIL", "WAITING"] and len(said) == 1) or f"{states} {said}"


SECRETS = [
    "postgresql://127.0.0.1:1/x?user=me&password=hush",
    "postgresql://me:a hush@127.0.0.1:1/x",
    "postgresql://me:a@hush@127.0.0.1:1/x",
    "postgresql://me:hush127.0.0.1:5432/x",
    "postgresql://me:a%2Fhush@127.0.0.1:1/x",
    "postgresql://me:a/hush@127.0.0.1:1/x",
    "postgresql://me@127.0.0.1:1/x?sslpassword=hush",
    "host=db password=hush",
    "postgresql://127.0.0.1:1/x?options=-c%20password%3Dhush",
]


@fault("23 run.json's command holds no password, in nine forms")
def _(logs):
    from ppo_lab.runs.folder import circumstances

    before = sys.argv
    try:
        for url in SECRETS:
            for words in (["--storage", url], [f"--storage={url}"], [f"--stor={url}"]):
                sys.argv = ["tune.py", *words]
                if "hush" in (found := circumstances()["command"]):
                    return found
    finally:
        sys.argv = before
    return None


@fault("23 tune's errors show no password, in nine forms")
def _(logs):
    from ppo_lab.tune import main

    for url in SECRETS:
        code, out, err = command(
            main,
            "--env",
            "CartPole-v1",
            "--timesteps",
            "2048",
            "--storage",
            url,
            "--log-folder",
            str(logs),
        )
        if code == 0 or "hush" in out + err or err.count("\n") != 1:
            return f"{code} {err}"
    return None


@fault("23 usage errors show no password")
def _(logs):
    from ppo_lab.train import main as train
    from ppo_lab.tune import main as tune

    for words in (
        ["--st=postgresql://me:hush@h/x"],
        ["postgresql://me:hush@h/x"],
        ["--x", "postgresql://me:hush@h/x"],
    ):
        for main in (train, tune):
            code, _, err = command(main, *words)
            if code != 2 or "hush" in err:
                return err
    return None


def like_names():
    import gymnasium as gym

    for name, steps in (("x/y-v0", 3), ("x-y-v0", 5)):
        if name not in gym.registry:
            gym.register(
                name, "gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=steps
            )


COMPARE = [
    "--algos",
    "ppo",
    "--settings",
    "default",
    "--seeds",
    "1",
    "--timesteps",
    "64",
    "--points",
    "1",
    "--episodes",
    "1",
    "--jobs",
    "1",
]


@fault("25 compare refuses x/y-v0 beside x-y-v0")
def _(logs):
    from ppo_lab.compare import main

    like_names()
    code, _, err = command(main, "--envs", "x/y-v0", "x-y-v0", *COMPARE, "--log-folder", str(logs))
    return (
        code == 2 and "would both have run folders" in err and not list(logs.rglob("run.json"))
    ) or f"{code} {err}"


@fault("25 compare refuses x-y-v0 in the folder of (failed) runs of x/y-v0")
def _(logs):
    import json

    from ppo_lab.compare import main

    like_names()
    run = logs / "compare-x-y-v0" / "runs" / "ppo-default" / "x-y-v0_1"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"env": "x/y-v0", "status": "failed"}))
    code, _, err = command(main, "--envs", "x-y-v0", *COMPARE, "--log-folder", str(logs))
    return (
        code == 2 and json.loads((run / "run.json").read_text())["env"] == "x/y-v0"
    ) or f"{code} {err}"


@fault("25 a study's database goes where the folder is, whatever its name")
def _(logs):
    from ppo_lab.tune import main

    for name in ("{c}", "per%cent#?&=", "a b", ":memory:", "[bold]"):
        # 64 environment steps are too few for its trials: the database is made, then it is refused
        code, _, err = command(
            main,
            "--env",
            "CartPole-v1",
            "--algo",
            "a2c",
            "--timesteps",
            "80",
            "--n-envs",
            "1",
            "--trials",
            "1",
            "--finalists",
            "1",
            "--replicas",
            "1",
            "--seeds",
            "1",
            "--episodes",
            "1",
            "--jobs",
            "1",
            "--log-folder",
            str(logs / name),
        )
        where = logs / name / "tune-CartPole-v1" / "study.db"
        if code != 0 or not where.is_file() or sorted(p.name for p in logs.iterdir()) != [name]:
            return f"{name}: {code} {err} {[str(p) for p in logs.rglob('*.db')]}"
        import shutil

        shutil.rmtree(logs / name)
    return None


@fault(
    "28 what killed commands left is swept, what the living write is not, and .old gets its name back"
)
def _(logs):
    from ppo_lab.compare import main

    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    folder, pid, alive = logs / "c", dead.pid, os.getppid()
    runs = folder / "runs" / "a2c-default"
    gone = [
        runs / f".CartPole-v1_7.part-{pid}",
        folder / f".report.md.part-{pid}",
        folder / f".probe-{pid}",
    ]
    kept = [runs / f".CartPole-v1_7.part-{alive}"]
    old = runs / f".CartPole-v1_8.old-{pid}"
    for path in (gone[0], old, *kept):
        path.mkdir(parents=True)
    (old / "run.json").write_text('{"env": "CartPole-v1", "status": "failed"}')
    for path in gone[1:]:
        path.touch()
    code, _, err = command(
        main, "--envs", "CartPole-v1", *COMPARE, "--name", "c", "--log-folder", str(logs)
    )
    left = [p.name for p in gone if p.exists()]
    return (
        code == 0
        and not left
        and kept[0].exists()
        and (runs / "CartPole-v1_8").is_dir()
        and not old.exists()
    ) or f"{code} {left} {err}"


print(f"{len(FAILED)} of the faults are there" if FAILED else "all mended")
sys.exit(bool(FAILED))

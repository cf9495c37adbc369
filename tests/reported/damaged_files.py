"""Issue 13, items 1, 11 and 22: prints PASS or FAIL per fault.

Run from the root of a checkout with its environment's Python. Each fault is tried in a process of
its own with a time limit and its peak memory measured: the old code hangs, or takes gigabytes.
"""

import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

PRELUDE = """
import io, json, os, resource, sys, time, warnings, zipfile
from pathlib import Path
import numpy as np
sys.path.insert(0, os.getcwd())
resource.setrlimit(resource.RLIMIT_AS, (6_000_000_000, 6_000_000_000))
root = Path(sys.argv[1])
def write_run(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    returns = np.linspace(0, 0.5, 5)
    np.savez(folder / "evaluations.npz", timesteps=np.arange(1, 6) * 2048,
             results=returns[:, None] + np.zeros(20), ep_lengths=np.ones((5, 20), int))
    record = dict(format=1, algo="ppo", settings="tuned", stage="judge", env="E-v0", env_kwargs={},
        seed=1, timesteps=10000, steps=10240, n_envs=8, hyperparameters={"a": 1},
        evaluation={"episodes": 20}, score=0.5, reference={"low": 0, "high": 1, "source": "x"},
        versions={}, git_commit=None, device="cpu", status="completed", reason=None, seconds=1.0)
    record.update(changes)
    (folder / "run.json").write_text(json.dumps(record))
def write_zoo(folder, config="{}", args="algo: ppo\\nenv: E-v0\\nseed: 1"):
    (folder / "E-v0").mkdir(parents=True)
    np.savez(folder / "evaluations.npz", timesteps=np.arange(1, 4), results=np.ones((3, 2)))
    (folder / "E-v0" / "config.yml").write_text(config)
    (folder / "E-v0" / "args.yml").write_text(args)
def loaded():
    from reports.logs.loading import load_runs
    return load_runs(root)
write_run(root / "good")
def only_good(reason):
    found = loaded()
    assert [run.folder for run in found.runs] == ["good"], [run.folder for run in found.runs]
    assert len(found.set_aside) == 1, found.set_aside
    assert reason in found.set_aside[0].reason, found.set_aside
def good_and_said(reason, runs=2):
    found = loaded()
    assert len(found.runs) == runs, [run.folder for run in found.runs]
    assert any(reason in aside.reason for aside in found.set_aside), found.set_aside
def yaml_case(config, reason=""):
    write_zoo(root / "bad", config)
    good_and_said(reason or "config.yml")
def report():
    from ppo_lab.report import main
    return main([str(root), "--out", str(root.parent / "out"), "--format", "csv"])
"""

CASES: list[tuple[str, str, str, float]] = []


def case(name: str, code: str, seconds: float = 60.0, megabytes: float = 1000.0) -> None:
    CASES.append((name, textwrap.dedent(code), seconds, megabytes))


case(
    "1  deep nesting is refused in one line",
    """
    from reports.logs.reading import read_yaml
    from reports.logs.records import UnusableError
    for text in ("a: " + "[" * 1_000_000, "- " * 1_000_000, "? " * 1_000_000):
        (root / "x.yml").write_text(text)
        try: read_yaml(root / "x.yml")
        except UnusableError as error: assert "\\n" not in str(error)
        else: raise AssertionError
""",
)
case(
    "11 a second session of a monitor file gives the score (500, not 59)",
    """
    import gymnasium as gym
    from stable_baselines3.common.monitor import ResultsWriter
    folder = root / "m"; folder.mkdir()
    w = ResultsWriter(str(folder / "monitor.csv"), {"t_start": 1.0, "env_id": "E-v0"})
    for i in range(1000): w.write_row({"r": 10.0, "l": 10, "t": 10.0 + i})
    w.close()
    w = ResultsWriter(str(folder / "monitor.csv"), {}, override_existing=False)
    for i in range(150): w.write_row({"r": 500.0, "l": 500, "t": 0.5 + i})
    w.close()
    run = [run for run in loaded().runs if run.folder == "m"][0]
    assert run.score == 500.0, run.score
""",
)
case(
    "11 two environments of two sessions",
    """
    folder = root / "m"; folder.mkdir()
    for name in "01":
        rows = [f"10,10,{100 + i}" for i in range(200)] + [f"500,10,{i}" for i in range(100)]
        (folder / f"{name}.monitor.csv").write_text('#{"t_start": 1}\\nr,l,t\\n' + "\\n".join(rows) + "\\n")
    run = [run for run in loaded().runs if run.folder == "m"][0]
    assert run.score == 500.0, run.score
""",
)
case(
    "11 SB3's file that was appended from the start has no header",
    """
    from stable_baselines3.common.monitor import ResultsWriter
    folder = root / "m"; folder.mkdir()
    w = ResultsWriter(str(folder / "monitor.csv"), {}, override_existing=False)
    for i in range(3): w.write_row({"r": 5.0, "l": 10, "t": float(i)})
    w.close()
    assert [run.score for run in loaded().runs if run.folder == "m"] == [5.0]
""",
)
case(
    "11 rows of too many and too few fields, NaN, no numbers: left out, counted",
    """
    folder = root / "m"; folder.mkdir()
    rows = ["3,10,1"] * 20 + ["9,9,9,9", "9,9", "nan,1,1", "x,1,1", "3,0,1", "3,1.5,1"]
    (folder / "monitor.csv").write_text('#{"t_start": 1}\\nr,l,t\\n' + "\\n".join(rows) + "\\n")
    good_and_said("6 of 26 rows")
    assert [run.score for run in loaded().runs if run.folder == "m"] == [3.0]
""",
)
case("22 !!timestamp x", 'yaml_case("a: !!timestamp x")')
case("22 !!bool x", 'yaml_case("a: !!bool x")')
case("22 !!int ''", "yaml_case(\"a: !!int ''\")")
case("22 2001-99-99", 'yaml_case("a: 2001-99-99")')
case("22 sexagesimal of 1 MB", 'yaml_case("a: " + "1:" * 500_000 + "1")', 10)
case("22 sexagesimal float of 1 MB", 'yaml_case("a: " + "1:" * 500_000 + "1.5")', 10)
case("22 5,000 hex digits", 'yaml_case("a: 0x" + "f" * 5000)')
case("22 5,000 digits", 'yaml_case("a: " + "9" * 5000)')
case("22 aliases hidden behind a question mark", 'yaml_case("a: &b 1\\nc: {?*b : 2}", "aliases")')
case(
    "22 a YAML set has one order in every process",
    """
    import subprocess
    write_zoo(root / "bad", "a: !!set {" + ", ".join(f"k{i}" for i in range(40)) + "}")
    code = "import sys; from reports.logs.loading import load_runs; print([r.hyperparameters for r in load_runs(sys.argv[1]).runs])"
    texts = {subprocess.run([sys.executable, "-c", code, root], env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
             capture_output=True, text=True, check=True).stdout for seed in "123"}
    assert len(texts) == 1
""",
)
case("22 a key that stands twice", 'yaml_case("a: 1\\na: 2", "stands twice")')
case(
    "22 a key that stands twice in run.json",
    """
    write_run(root / "bad", seed=2)
    text = (root / "bad" / "run.json").read_text()
    (root / "bad" / "run.json").write_text(text[:-1] + ', "algo": "other"}')
    only_good("stands twice")
""",
)
for key in ("steps", "timesteps", "seed"):
    case(
        f"22 {key} = 10**400 in run.json",
        f"""
        write_run(root / "bad", **{{"algo": "a2c", "{key}": 10**400}})
        only_good("{key} must be")
        assert report() == 0
    """,
    )
case(
    "22 references of ±1.7e308",
    """
    write_run(root / "bad", algo="a2c", reference={"low": -1.7e308, "high": 1.7e308, "source": ""})
    only_good("low must be")
    assert report() == 0
""",
)
case(
    "22 references too close to normalise by",
    """
    write_run(root / "bad", algo="a2c", reference={"low": 1.0, "high": 1.0 + 1e-15, "source": ""})
    only_good("too close")
""",
)
for name in ("run.json", "evaluations.npz", "0.monitor.csv", "E-v0/config.yml", "E-v0.zip"):
    case(
        f"22 a pipe as {name}",
        f"""
        write_zoo(root / "bad")
        path = root / "bad" / "{name}"
        if "monitor" in path.name: (root / "bad" / "evaluations.npz").unlink()
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        assert "good" in [run.folder for run in loaded().runs]
    """,
        15,
    )
    case(
        f"22 a link to /dev/zero as {name}",
        f"""
        write_zoo(root / "bad")
        path = root / "bad" / "{name}"
        if "monitor" in path.name: (root / "bad" / "evaluations.npz").unlink()
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/zero")
        assert "good" in [run.folder for run in loaded().runs]
    """,
        15,
    )
case(
    "22 npz of int8 (1, 250,000,000)",
    """
    folder = root / "bad"; folder.mkdir()
    np.savez_compressed(folder / "evaluations.npz", timesteps=np.array([1]), results=np.zeros((1, 250_000_000), np.int8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    only_good("unfolds to more than")
""",
    60,
    1000,
)
case(
    "22 npz whose member unfolds to more than it states",
    """
    import struct
    folder = root / "bad"; folder.mkdir()
    path = folder / "evaluations.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("results.npy", bytes(1000))
        with z.open("timesteps.npy", "w") as f:
            for _ in range(1500): f.write(bytes(1_000_000))
    data = path.read_bytes().replace(struct.pack("<L", 1_500_000_000), struct.pack("<L", 1000))
    path.write_bytes(data)
    only_good("evaluations.npz")
""",
    60,
    500,
)
case(
    "22 npz packed by bzip2, a bomb",
    """
    folder = root / "bad"; folder.mkdir()
    with zipfile.ZipFile(folder / "evaluations.npz", "w", zipfile.ZIP_BZIP2) as z:
        z.writestr("timesteps.npy", bytes(100_000_000))
        z.writestr("results.npy", bytes(100_000_000))
    only_good("packed by a method")
""",
)
case(
    "22 zip of 300,000 members",
    """
    folder = root / "bad"; folder.mkdir()
    with zipfile.ZipFile(folder / "evaluations.npz", "w") as z:
        for i in range(300_000): z.writestr(f"{i}", b"")
    only_good("too many members")
""",
    90,
    1e9,
)
case(
    "22 monitor file of 112 MB, 5 million rows",
    """
    folder = root / "big"; folder.mkdir()
    with (folder / "monitor.csv").open("w") as f:
        f.write('#{"t_start": 1.0, "env_id": "E-v0"}\\nr,l,t\\n')
        for i in range(5_000_000): f.write(f"{i % 500}.125,{i % 500 + 1},{i}.25\\n")
    assert {run.folder: run.evaluation_episodes for run in loaded().runs}["big"] == 100
""",
    120,
)
case(
    "22 CSV of 5 million rows in 100 runs",
    """
    path = root / "scores.csv"
    with path.open("w") as f:
        f.write("algo,env,seed,step,score\\n")
        for i in range(5_000_000): f.write(f"a,E,{i % 100},{i // 100},{i % 7}\\n")
    from reports.logs.loading import load_runs
    runs = load_runs(path).runs
    assert len(runs) == 100 and runs[3].steps == 49_999, (len(runs), runs[3].steps)
""",
    600,
)
case(
    "22 CSV of 3 million runs of one row each",
    """
    path = root / "scores.csv"
    with path.open("w") as f:
        f.write("algo,env,seed,step,score\\n")
        for i in range(3_000_000): f.write(f"a,E,{i},1,{i % 7}\\n")
    from reports.logs.loading import load_runs
    found = load_runs(path)
    assert len(found.runs) == 20_000 and "2,979,9" in found.set_aside[-1].reason, found.set_aside[-1]
""",
    180,
)
case(
    "22 a line of 100 MB",
    """
    folder = root / "bad"; folder.mkdir()
    (folder / "monitor.csv").write_bytes(b"#{}\\nr,l,t\\n" + b"1" * 100_000_000)
    only_good("line 3 is longer")
""",
    60,
    500,
)
case(
    "22 YAML of 100 MB",
    """
    yaml_case("a: " + "x" * 100_000_000, "larger than")
""",
    60,
    1000,
)
case(
    "22 a curve of 1,000,000 points",
    """
    folder = root / "ppo_1"; folder.mkdir()
    np.savez(folder / "evaluations.npz", timesteps=np.arange(1, 1_000_001), results=np.random.default_rng(0).normal(size=(1_000_000, 3)))
    assert report() == 0
""",
    120,
)
case(
    "22 300 labels",
    """
    path = root.parent / "scores.csv"
    rng = np.random.default_rng(0)
    with path.open("w") as f:
        f.write("algo,env,seed,step,score\\n")
        for label in range(300):
            for seed in range(5): f.write(f"a{label:03},E,{seed},1,{rng.normal()}\\n")
    from ppo_lab.report import main
    assert main([str(path), "--out", str(root.parent / "out"), "--format", "html", "csv"]) == 0
""",
    900,
)
case(
    "22 10,000 run folders",
    """
    import shutil
    text = (root / "good" / "run.json").read_text()
    for seed in range(10_000):
        folder = root / f"r{seed % 4}" / str(seed); folder.mkdir(parents=True)
        shutil.copy(root / "good" / "evaluations.npz", folder)
        (folder / "run.json").write_text(text.replace('"seed": 1', f'"seed": {seed + 2}').replace('"ppo"', f'"a{seed % 4}"'))
    from ppo_lab.report import main
    assert main([str(root), "--out", str(root.parent / "out"), "--format", "csv"]) == 0
""",
    900,
)
case(
    "22 names that are hostile",
    """
    for number, name in enumerate(("a\\nb", "[bold]", "<script>", "a|b", "$\\\\frac", "x" * 255, os.fsdecode(b"\\xff"))):
        write_run(root / name, seed=number + 5)
        write_run(root / ("bad" + name)[:255], status="failed", reason=name.encode("utf-8", "replace").decode())
    assert report() == 0
""",
    120,
)


def main() -> int:
    failed = 0
    wanted = sys.argv[1:]
    for name, code, seconds, megabytes in CASES:
        if wanted and not any(word in name for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "logs").mkdir()
            script = Path(folder) / "case.py"
            script.write_text(
                PRELUDE
                + code
                + "\nprint('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)\n"
                + "print('cpu', time.process_time())\n"
            )
            start = time.monotonic()
            try:
                ran = subprocess.run(
                    [sys.executable, str(script), str(Path(folder) / "logs")],
                    capture_output=True,
                    text=True,
                    timeout=seconds,
                    check=False,
                )
                told = dict(
                    line.split() for line in ran.stdout.splitlines() if line[:4] in ("peak", "cpu ")
                )
                peak, cpu = float(told.get("peak", 0)), float(told.get("cpu", 0))
                good = ran.returncode == 0 and peak <= megabytes
                why = "" if good else (ran.stderr.strip().splitlines() or [f"{peak} MB"])[-1][:150]
                shown = f"{cpu:.1f} s CPU, {peak:.0f} MB"
            except subprocess.TimeoutExpired:
                good, why, shown = False, "", f"more than {seconds:g} s"
            failed += not good
            print(
                f"{'PASS' if good else 'FAIL'}  {name}: {shown}, {time.monotonic() - start:.1f} s wall {why}",
                flush=True,
            )
    return failed > 0


if __name__ == "__main__":
    raise SystemExit(main())

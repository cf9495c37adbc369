"""``python -m ppo_lab.report`` from the command line's end."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import reports
from ppo_lab.report import main


def write_scores(path: Path, algos: tuple[str, ...] = ("ppo", "sac"), seeds: int = 3) -> Path:
    rows = [
        f"{algo},Task-v0,{seed},{step},{place + seed * 0.1 + step / 100}"
        for place, algo in enumerate(algos)
        for seed in range(seeds)
        for step in (50, 100)
    ]
    path.write_text("algo,env,seed,step,score\n" + "\n".join(rows) + "\n")
    return path


def test_a_table_of_scores_becomes_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = write_scores(tmp_path / "scores.csv")
    with logs.open("a") as file:
        file.write("sac,Task-v0,x,1,1\n")
    out = tmp_path / "out"
    assert main([str(logs), "--out", str(out), "--baseline", "ppo"]) == 0
    printed = capsys.readouterr()
    assert "sac" in printed.out
    assert "set aside: scores.csv: line 14, column 3 (seed)" in printed.out
    assert printed.err == ""
    assert any(out.iterdir())


def test_a_name_before_the_logs_goes_into_the_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = [write_scores(tmp_path / name, ("ppo",)) for name in ("a.csv", "b=c.csv")]
    arguments = [f"mine={logs[0]}", str(logs[1]), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--explain"]) == 0
    out = capsys.readouterr().out
    assert "ppo (mine)" in out
    assert "6 runs of 2 labels" in out


def test_the_users_references_scale_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = write_scores(tmp_path / "scores.csv")
    file = tmp_path / "mine.yml"
    file.write_text(yaml.safe_dump({"Task-v0": {"low": 0, "high": 4, "source": "my paper"}}))
    assert (
        main([str(logs), "--out", str(tmp_path / "out"), "--references", str(file), "--explain"])
        == 0
    )
    assert "low 0 and high 4 (my paper)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{logs}", "--baseline", "dqn"], 2, "the labels are ppo, sac"),
        (["{logs}", "--seed", "-1"], 2, "--seed -1: expected 0 or above"),
        (["{logs}", "--references", "{tmp}/none.yml"], 1, "none.yml is missing"),
        (["{tmp}/nothing"], 1, "is not a folder"),
        (["{tmp}/empty"], 1, "no run.json below"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    logs = write_scores(tmp_path / "scores.csv")
    (tmp_path / "empty").mkdir()
    filled = [text.format(logs=logs, tmp=tmp_path) for text in arguments]
    assert main([*filled, "--out", str(tmp_path / "out")]) == code
    error = capsys.readouterr().err
    assert error.startswith("ppo_lab.report: ")
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_report_lies_in_the_folder_report_unless_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_scores(Path("scores.csv"))
    assert main(["scores.csv", "--format", "MD"]) == 0
    assert (tmp_path / "report" / "report.md").is_file()
    assert capsys.readouterr().out.endswith("Report: report/report.md\n")


def test_the_command_needs_no_torch(tmp_path: Path) -> None:
    logs = write_scores(tmp_path / "scores.csv")
    code = (
        "import sys\nfrom ppo_lab.report import main\n"
        f"code = main([{str(logs)!r}, '--out', {str(tmp_path / 'out')!r}])\n"
        "sys.exit(code or 'torch' in sys.modules or 'stable_baselines3' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(reports.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")

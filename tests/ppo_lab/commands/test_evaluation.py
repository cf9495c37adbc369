"""What a saved model's returns are normalised by."""

import json
from pathlib import Path

import pytest

from ppo_lab.commands.evaluation import scale_of
from ppo_lab.commands.options import EvaluateOptions
from ppo_lab.commands.shared import parse
from ppo_lab.evaluate import _parser
from ppo_lab.runs.references import ReferenceScores
from ppo_lab.runs.saved_model import SavedRun, find_saved_run
from ppo_lab.train import main as train
from reports.logs.loading import load_runs
from reports.logs.references import fill_references, known_references


def test_a_run_has_its_own_scale_and_another_environment_that_of_its_name(tmp_path: Path) -> None:
    stated = {"low": 1.0, "high": 3.0, "source": "mine"}
    (tmp_path / "run.json").write_text(json.dumps({"reference": stated}))
    run = SavedRun(tmp_path, "ppo", "CartPole-v1")
    its_own = parse(_parser(), EvaluateOptions, [str(tmp_path)])
    assert scale_of(run, its_own) == ReferenceScores(1.0, 3.0, "mine")
    given = parse(_parser(), EvaluateOptions, [str(tmp_path), "--env", "CartPole-v1"])
    other = scale_of(run, given)
    assert other is not None
    assert other.low == known_references()["CartPole-v1"].low != 1.0


@pytest.mark.parametrize("by_zoo", [False, True], ids=["ours", "the zoo's"])
@pytest.mark.parametrize("env", ["CartPole-v1", "ppo_lab/GridWorld-v0"])
def test_evaluate_and_report_normalise_a_run_alike(env: str, by_zoo: bool, tmp_path: Path) -> None:
    small = ["--timesteps", "64", "-P", "n_steps:32", "batch_size:32", "--eval-freq", "0"]
    assert train(["--env", env, *small, "--log-folder", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "spec_ppo").iterdir()
    if by_zoo:
        (folder / "run.json").unlink()  # all that the zoo's folders lack
    scale = scale_of(find_saved_run(folder), parse(_parser(), EvaluateOptions, [str(folder)]))
    (reported,) = fill_references(load_runs(tmp_path).runs)
    if scale is None:
        # Of a finite environment the zoo states nothing, and a report then takes what it holds.
        assert by_zoo
        assert "in this report" in reported.source
    else:
        assert (scale.low, scale.high) == (reported.low, reported.high)
        assert scale.source == reported.source


def test_evaluate_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ppo_lab.runs.references._played_apart", lambda *_: pytest.fail("it was played")
    )
    # With keyword arguments it is another environment, of which nothing is stated.
    run = SavedRun(tmp_path, "ppo", "CartPole-v1", {"sutton_barto_reward": True})
    for flags in ([], ["--env", "CartPole-v1"]):
        options = parse(_parser(), EvaluateOptions, [str(tmp_path), *flags])
        assert scale_of(run, options) is None

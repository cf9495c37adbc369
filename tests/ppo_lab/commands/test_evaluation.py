"""What a saved model's returns are normalised by."""

import json
from pathlib import Path

from ppo_lab.commands.evaluation import scale_of
from ppo_lab.commands.options import EvaluateOptions
from ppo_lab.commands.shared import parse
from ppo_lab.evaluate import _parser
from ppo_lab.runs.references import ReferenceScores
from ppo_lab.runs.saved_model import SavedRun
from reports.logs.references import known_references


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

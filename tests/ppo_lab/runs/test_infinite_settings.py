"""Limits that never bite, ``max_grad_norm=inf`` and the like, and numbers that are none."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_lab.errors import ArgumentError
from ppo_lab.evaluate import main as evaluate
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.folder import to_json
from ppo_lab.runs.resumable import read_run
from ppo_lab.train import main as train

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def no_such_word(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


@given(st.dictionaries(st.text(), VALUES))
def test_a_record_is_json_and_holds_what_it_held(record: dict[str, Any]) -> None:
    assert json.loads(to_json(record), parse_constant=no_such_word) == record


def test_words_in_texts_stay_words() -> None:
    record = {"said": 'Infinity, "-Infinity" and NaN \\', "Infinity": -math.inf}
    text = to_json(record)
    assert '"Infinity": -1e999' in text
    assert json.loads(text) == record
    with pytest.raises(ValueError, match="NaN has no place"):
        to_json({"a": [math.nan]})


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"hyperparameters": {"target_kl": math.nan}}, "hyperparameters.target_kl"),
        ({"normalize": {"clip_obs": math.nan}}, "normalize.clip_obs"),
        ({"env_kwargs": {"sizes": (1.0, math.nan)}}, "env_kwargs.sizes"),
        ({"env_wrapper": [{"a.B": {"low": math.nan}}]}, "env_wrapper.a.B.low"),
    ],
)
def test_what_is_no_number_is_named(settings: dict[str, Any], place: str) -> None:
    given = {"hyperparameters": {}, **settings}
    with pytest.raises(ArgumentError, match=f"^{place} is NaN: expected a number$"):
        RunConfig(
            env="CartPole-v1",
            algo="ppo",
            settings="",
            timesteps=64,
            n_envs=1,
            policy="MlpPolicy",
            seed=0,
            evaluation=Evaluation(1, 0),
            **given,
        )


SETTINGS = """\
CartPole-v1:
  n_steps: 32
  batch_size: 32
  max_grad_norm: .inf
  normalize: {clip_obs: .inf}
  env_wrapper:
    - gymnasium.wrappers.ClipReward: {min_reward: -.inf, max_reward: 0.5}
"""


@pytest.mark.parametrize("algo", ["spec_ppo", "ppo"])
def test_a_run_without_limits_is_trained_gone_on_with_and_evaluated(
    algo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.yml").write_text(SETTINGS)
    given = ["--conf", str(tmp_path / "settings.yml"), "--algo", algo, "--eval-freq", "0"]
    where = ["--log-folder", str(tmp_path / "logs")]
    assert train([*given, *where, "--timesteps", "64", "--eval-episodes", "1"]) == 0
    run = tmp_path / "logs" / algo / "CartPole-v1_1"
    assert train(["--resume", str(run), *where, "--timesteps", "96"]) == 0
    for folder in (run, run.with_name("CartPole-v1_2")):
        config, _ = read_run(folder)
        assert config.hyperparameters["max_grad_norm"] == math.inf
        assert config.normalize == {"clip_obs": math.inf}
        json.loads((folder / "run.json").read_text(), parse_constant=no_such_word)
        assert evaluate([str(folder), "--episodes", "1"]) == 0


def test_a_setting_that_is_no_number_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yml"
    for algo in ("spec_ppo", "ppo", "dqn"):
        file.write_text("CartPole-v1:\n  gamma: .nan\n")
        flags = ["--conf", str(file), "--algo", algo, "--timesteps", "64"]
        assert train([*flags, "--log-folder", str(tmp_path / "logs")]) == 2
        said = capsys.readouterr().err
        assert said == "ppo_lab.train: hyperparameters.gamma is NaN: expected a number\n"
    assert not list(tmp_path.rglob("run.json"))

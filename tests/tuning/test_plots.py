"""Optuna's plots on disk."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.plots import PLOTS, write_plots

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "clip_range": FloatDistribution(0.05, 0.5),
    "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "target_kl": CategoricalDistribution([None, 0.01, 0.05]),
}


def trial(number: int, value: float | None, state: TrialState | None = None) -> FrozenTrial:
    """A trial of settings that its number decides."""
    rng = np.random.default_rng(number)
    params = {
        "clip_range": rng.uniform(0.05, 0.5),
        "learning_rate": 10 ** rng.uniform(-5, -2),
        "target_kl": (None, 0.01, 0.05)[number % 3],
    }
    state = state or (TrialState.FAIL if value is None else TrialState.COMPLETE)
    return create_trial(state=state, params=params, distributions=DISTRIBUTIONS, value=value)


def study(count: int) -> list[FrozenTrial]:
    """Trials that score by their learning rate; one failed and one was stopped."""
    trials = [
        trial(n, float(np.log10(trial(n, 0.0).params["learning_rate"]))) for n in range(count)
    ]
    return [*trials, trial(count, None), trial(count + 1, 0.5, TrialState.PRUNED)]


def with_base(count: int) -> list[FrozenTrial]:
    """The same behind a base that the search could not express, which has no parameters."""
    return [create_trial(value=-3.0), *study(count)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plots of a base without parameters, of twelve trials and two that did not finish."""
    folder = tmp_path_factory.mktemp("plots")
    plotted = write_plots("demo", with_base(12), folder)
    assert not plotted.left_out
    assert [path.name for path in plotted.files] == [
        f"{plot}.{kind}" for plot in PLOTS for kind in ("html", "png")
    ]
    return folder


def test_every_plot_is_a_picture_and_a_page_that_needs_no_net(drawn: Path) -> None:
    assert (drawn / "plotly.min.js").stat().st_size > 1_000_000
    for plot in PLOTS:
        assert (drawn / f"{plot}.png").read_bytes().startswith(b"\x89PNG")
        page = (drawn / f"{plot}.html").read_text(encoding="utf-8")
        assert 'src="plotly.min.js"' in page
        assert 'src="http' not in page


def test_the_learning_rate_that_decides_the_score_is_the_most_important(drawn: Path) -> None:
    page = (drawn / "importances.html").read_text(encoding="utf-8")
    # Bars are listed from the least to the most important.
    order = sorted(DISTRIBUTIONS, key=lambda name: page.index(f'"{name}"'))
    assert order[-1] == "learning_rate"


def test_the_same_trials_give_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    write_plots("demo", with_base(12), tmp_path)
    for plot in PLOTS[:-1]:  # the timeline shows when the trials were made
        for kind in ("html", "png"):
            assert (tmp_path / f"{plot}.{kind}").read_bytes() == (
                drawn / f"{plot}.{kind}"
            ).read_bytes()


def test_nothing_of_matplotlib_is_left_changed(tmp_path: Path) -> None:
    before, open_before = dict(plt.rcParams), plt.get_fignums()
    write_plots("demo", study(2), tmp_path)
    assert {**plt.rcParams, "backend": ""} == {**before, "backend": ""}
    assert plt.get_fignums() == open_before


@pytest.mark.parametrize(
    ("trials", "left_out"),
    [
        ([], dict.fromkeys(PLOTS)),
        ([trial(0, None), trial(1, None)], dict.fromkeys(PLOTS[:-1], "no trial was completed")),
        (
            [trial(0, 1.0)],
            {
                "importances": "1 completed trials; expected 4 or more",
                "contour": "expected two parameters and two completed trials or more",
            },
        ),
        (
            [trial(n, 3.0) for n in range(4)],
            {"importances": "every completed trial has the same score"},
        ),
        (
            [create_trial(value=1.0), create_trial(value=2.0)],
            dict.fromkeys(PLOTS[1:-1], "nothing was searched"),
        ),
    ],
    ids=["none", "all failed", "one", "constant", "nothing searched"],
)
def test_a_study_with_little_to_show_says_what_is_left_out_and_why(
    trials: list[FrozenTrial], left_out: dict[str, str | None], tmp_path: Path
) -> None:
    plotted = write_plots("demo", trials, tmp_path)
    assert set(plotted.left_out) == set(left_out)
    for plot, reason in left_out.items():
        assert reason is None or plotted.left_out[plot] == reason
    assert len(plotted.files) == 2 * (len(PLOTS) - len(left_out))
    assert all(path.stat().st_size for path in plotted.files)


def test_a_plot_that_cannot_be_drawn_any_more_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "history.png").write_bytes(b"of an earlier study")
    write_plots("demo", [trial(0, None)], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "timeline.html",
        "timeline.png",
        "plotly.min.js",
    }

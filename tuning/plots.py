"""Optuna's plots of a study, as interactive HTML and as PNG, without a browser or the net."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
import optuna.visualization as interactive
import optuna.visualization.matplotlib as still
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from tuning.proposals import quiet

__all__ = ["PLOTS", "Plotted", "study_of", "why_not", "write_plots"]

PLOTS = ("history", "importances", "slice", "contour", "parallel", "timeline")
"""File names without their suffix, in the order in which they are drawn."""
WHOLE = ("history", "timeline")
"""The plots that show every trial, whatever its parameters."""
MOST_IN_CONTOUR = 4
"""Parameters of a contour plot, the most important ones: there is a panel for each pair."""
LEAST_TO_RANK = 4
"""Completed trials below which importances say nothing."""
PIXELS_PER_INCH = 100
PANEL_INCHES, AXIS_INCHES = 3.6, 1.1


@dataclass(frozen=True)
class Plotted:
    """What became of the plots.

    Attributes:
        files: written, HTML and PNG alternating.
        left_out: plot → why it could not be drawn, one line.
    """

    files: tuple[Path, ...]
    left_out: Mapping[str, str]


def write_plots(name: str, trials: Sequence[FrozenTrial], folder: Path) -> Plotted:
    """Draw a study's trials.

    Importances are PED-ANOVA's (Watanabe et al. 2023): of what makes a trial one of the better
    ones. ``plotly.min.js`` is put beside the pages, which need nothing else. The same trials give
    the same bytes; the timeline shows when they ran, which never is the same.

    Args:
        name: the study's, for the titles.
        trials: in the order of their numbers; failed and stopped ones too.
        folder: made; files of the same names are replaced.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    left_out: dict[str, str] = {}
    with quiet(), _off_screen():
        study = study_of(name, trials)
        # A base that the search could not express has no parameters to be drawn.
        expressed = study_of(name, [trial for trial in trials if trial.params] or trials)
        for plot in PLOTS:
            reason = why_not(plot, trials)
            if reason is None:
                try:
                    pair = _drawn(plot, study if plot in WHOLE else expressed)
                except Exception as error:  # each plot has its own ways to refuse a study
                    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                else:
                    files += _written(plot, *pair, folder)
            if reason is not None:
                left_out[plot] = reason
                for suffix in (".html", ".png"):
                    (folder / f"{plot}{suffix}").unlink(missing_ok=True)
    return Plotted(tuple(files), left_out)


def study_of(name: str, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """The trials as a study in memory, of which Optuna's functions ask."""
    study = optuna.create_study(study_name=name, direction="maximize")
    study.add_trials(trials)
    return study


def why_not(plot: str, trials: Sequence[FrozenTrial]) -> str | None:
    """Why a plot would show nothing; None if it has something to show."""
    if plot == "timeline":
        return None if trials else "no trials"
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not completed:
        return "no trial was completed"
    searched = {key for trial in completed for key in trial.params}
    if plot != "history" and not searched:
        return "nothing was searched"
    if plot == "importances":
        if len(completed) < LEAST_TO_RANK:
            return f"{len(completed)} completed trials; expected {LEAST_TO_RANK} or more"
        if len({trial.value for trial in completed}) == 1:
            return "every completed trial has the same score"
    if plot == "contour" and (len(searched) < 2 or len(completed) < 2):
        return "expected two parameters and two completed trials or more"
    return None


def _drawn(plot: str, study: optuna.Study) -> tuple[Any, Any]:
    """The plotly figure and the Matplotlib figure."""
    arguments: dict[str, Any] = {}
    if plot == "importances":
        arguments["evaluator"] = PedAnovaImportanceEvaluator()
    if plot == "contour":
        arguments["params"] = _most_important(study)
    functions: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "history": (interactive.plot_optimization_history, still.plot_optimization_history),
        "importances": (interactive.plot_param_importances, still.plot_param_importances),
        "slice": (interactive.plot_slice, still.plot_slice),
        "contour": (interactive.plot_contour, still.plot_contour),
        "parallel": (interactive.plot_parallel_coordinate, still.plot_parallel_coordinate),
        "timeline": (interactive.plot_timeline, still.plot_timeline),
    }
    page, picture = (function(study, **arguments) for function in functions[plot])
    # Matplotlib's is an Axes or an array of them.
    return page, np.ravel(np.asarray(picture, dtype=object))[0].figure


def _most_important(study: optuna.Study) -> list[str]:
    """The parameters of a contour plot, in the order of their names."""
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    searched = sorted({key for trial in completed for key in trial.params})
    if len(searched) > MOST_IN_CONTOUR and why_not("importances", completed) is None:
        ranking = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        searched = sorted(list(ranking)[:MOST_IN_CONTOUR])
    return searched[:MOST_IN_CONTOUR]


def _written(plot: str, page: Any, picture: Any, folder: Path) -> list[Path]:
    html, png = folder / f"{plot}.html", folder / f"{plot}.png"
    _give_room(plot, picture)
    page.write_html(html, include_plotlyjs="directory", div_id=plot)
    picture.savefig(png, dpi=PIXELS_PER_INCH, bbox_inches="tight", metadata={"Software": None})
    return [html, png]


def _give_room(plot: str, picture: Any) -> None:
    """Optuna fits any number of panels or axes into the size of one, with names over each other."""
    if plot == "contour":
        grids = [axes.get_gridspec() for axes in picture.axes]
        rows = max(grid.nrows for grid in grids if grid is not None)
        picture.set_size_inches(PANEL_INCHES * (rows + 0.5), PANEL_INCHES * rows)
    if plot == "parallel":
        width, height = picture.get_size_inches()
        picture.set_size_inches(max(width, AXIS_INCHES * len(picture.axes)), height)


@contextmanager
def _off_screen() -> Iterator[None]:
    """Matplotlib without windows; its style, which Optuna sets for all, is put back."""
    plt.switch_backend("agg")
    open_before = plt.get_fignums()
    with plt.rc_context(), warnings.catch_warnings():
        # Of a single trial: axes from a value to the same value, which Matplotlib widens.
        warnings.filterwarnings("ignore", "Attempting to set identical", UserWarning)
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - set(open_before):
                plt.close(number)

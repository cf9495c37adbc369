"""The sensitivity of a finished study of several environments: its tables, sentences and plot."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.whole_files import whole_file, write_whole
from tuning.across import Bought

__all__ = ["Rows", "Shares", "sentences", "write_sensitivity"]

Rows = Mapping[str, Sequence[Bought]]
"""Algorithm → a row an environment, the last over all."""
Shares = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Algorithm → environment → hyperparameter → importance."""

ALL = "all environments"


def sentences(rows: Rows, shares: Shares) -> list[str]:
    """What tuning for each environment buys, and which hyperparameters matter, per algorithm."""
    said = []
    for algo, of_algo in rows.items():
        for row in of_algo:
            where = row.env or ALL
            scores = f"default {row.default:.3f}, one for all {row.one:.3f}"
            if row.tuned is None or row.difference is None:
                said.append(f"{algo} on {where}: {scores}.")
                continue
            ends = "" if row.low is None else f" [{row.low:.3f}, {row.high:.3f}]"
            said.append(
                f"{algo} on {where}: {scores}, tuned for each {row.tuned:.3f}; tuning for each "
                f"buys {row.difference:.3f}{ends}."
            )
        means = _mean_shares(shares.get(algo, {}))
        if means:
            listed = ", ".join(f"{name} {share:.0%}" for name, share in means.items())
            said.append(f"What matters to {algo}, mean over environments: {listed}.")
    return said


def write_sensitivity(rows: Rows, shares: Shares, folder: Path) -> list[Path]:
    """Write ``sensitivity.csv``, ``importances.csv`` and ``sensitivity.png`` and ``.svg``.

    Raises:
        OSError: the folder cannot be written.
    """
    header = ["algorithm", "environment", "default", "one_for_all", "tuned_for_each"]
    header += ["difference", "difference_low", "difference_high"]
    lines = [
        [algo, row.env or ALL, row.default, row.one, row.tuned, row.difference, row.low, row.high]
        for algo, of_algo in rows.items()
        for row in of_algo
    ]
    parts = [
        [algo, env, name, share]
        for algo, by_env in shares.items()
        for env, of_env in by_env.items()
        for name, share in of_env.items()
    ]
    files = [folder / "sensitivity.csv", folder / "importances.csv"]
    write_whole(files[0], _csv([header, *lines]))
    write_whole(files[1], _csv([["algorithm", "environment", "hyperparameter", "share"], *parts]))
    return [*files, *_draw(rows, shares, folder)]


def _csv(rows: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _mean_shares(by_env: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Hyperparameter → mean over environments, the greatest first."""
    names = {name for of_env in by_env.values() for name in of_env}
    means = {n: sum(e.get(n, 0.0) for e in by_env.values()) / len(by_env) for n in sorted(names)}
    return dict(sorted(means.items(), key=lambda each: -each[1]))


def _draw(rows: Rows, shares: Shares, folder: Path) -> list[Path]:
    """A row an algorithm: scores of the three settings by environment, importances beside them."""
    # The ids in an SVG are otherwise random.
    with mpl.rc_context({"svg.hashsalt": "sensitivity", "svg.fonttype": "none"}):
        envs = max(len(of_algo) for of_algo in rows.values())
        figure = Figure(figsize=(11, (1.2 + 0.45 * envs) * len(rows)), layout="tight")
        axes = figure.subplots(len(rows), 2, squeeze=False)
        for (left, right), (algo, of_algo) in zip(axes, rows.items(), strict=True):
            _draw_scores(left, algo, of_algo)
            _draw_shares(right, algo, shares.get(algo, {}))
        files = []
        for suffix in ("png", "svg"):
            file = folder / f"sensitivity.{suffix}"
            metadata = {"Software": None} if suffix == "png" else {"Date": None}
            with whole_file(file) as beside:
                figure.savefig(beside, format=suffix, dpi=100, metadata=metadata)
            files.append(file)
    return files


def _draw_scores(axes: Axes, algo: str, rows: Sequence[Bought]) -> None:
    places = range(len(rows))
    kinds = [("default", "o", "0.6"), ("one", "s", "C0"), ("tuned", "D", "C1")]
    for name, marker, colour in kinds:
        values = [getattr(row, name) for row in rows]
        if None not in values:
            label = {"one": "one for all", "tuned": "tuned for each"}.get(name, name)
            axes.plot(values, places, marker, color=colour, label=label)
    for place, row in zip(places, rows, strict=True):
        if row.low is not None and row.high is not None:
            axes.plot([row.one + row.low, row.one + row.high], [place, place], color="C1", lw=1)
    axes.set_yticks(list(places), [row.env or ALL for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("judged score, 0 and 1 the trials' 5th and 95th percentile")
    axes.set_title(f"{algo}: what tuning for each environment buys")
    axes.legend(fontsize="small")


def _draw_shares(axes: Axes, algo: str, by_env: Mapping[str, Mapping[str, float]]) -> None:
    means = _mean_shares(by_env)
    axes.set_title(f"{algo}: which hyperparameters matter")
    if not means:
        axes.text(0.5, 0.5, "too few different trials to say", ha="center", va="center")
        axes.set_axis_off()
        return
    names = list(means)
    left = [0.0] * len(names)
    for place, (env, of_env) in enumerate(by_env.items()):
        parts = [of_env.get(name, 0.0) / len(by_env) for name in names]
        axes.barh(names, parts, left=left, label=env, color=f"C{place % 10}")
        left = [a + b for a, b in zip(left, parts, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("share, by PED-ANOVA, mean over environments")
    axes.legend(fontsize="small")

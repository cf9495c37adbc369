"""The label that the others are compared with."""

from collections.abc import Sequence

from reports.logs.records import Run


def baseline_label(runs: Sequence[Run], wanted: str | None) -> str:
    """Find the label that the others are compared with.

    Args:
        runs: at least one.
        wanted: a label, or an algorithm or ``algorithm (settings)`` whose runs have one label;
            None: SB3's PPO if it is there (the tuned one of several), else the first label by
            alphabet.

    Raises:
        ValueError: no label, or several, answer to ``wanted``; lists the labels.
    """
    labels = sorted({run.label for run in runs})
    if wanted is None:
        preferred = [*(label for label in ("ppo (tuned)", "ppo") if label in labels)]
        by_algo = sorted({run.label for run in runs if run.algo == "ppo"})
        return [*preferred, *by_algo, *labels][0]
    if wanted in labels:
        return wanted
    matching = sorted(
        {run.label for run in runs if wanted in (run.algo, f"{run.algo} ({run.settings})")}
    )
    if len(matching) == 1:
        return matching[0]
    problem = "several labels are of it" if matching else "no run has that label"
    raise ValueError(f"{problem}; the labels are {', '.join(labels)}")


def chosen_baseline(runs: Sequence[Run], wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the baseline, and a sentence where it is not the one that was asked for.

    Arguments as of :func:`baseline_label`.
    """
    try:
        return baseline_label(runs, wanted), ()
    except ValueError:
        instead = baseline_label(runs, None)
        return instead, (f"No one label is of {wanted}: {instead} is the baseline instead.",)

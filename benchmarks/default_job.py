"""What tuning gains on an environment, study by study: by it the job without flags was chosen.

``python benchmarks/default_job.py`` runs ``python -m ppo_lab.tune`` with several ``--seed``s, none
of them the command's default, and prints for each algorithm what the tuned settings and the default
settings came to on the study's test seeds. What follows ``--`` goes to the command. Studies are
kept below ``--log-folder``, so a second call goes on. ``--write FILE`` puts the table between the
file's marks, ``<!-- default job: ALGORITHMS -->``.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

HOME = Path(__file__).resolve().parent.parent
CHOOSING_SEEDS = (101, 102, 103, 104, 105)
"""Of the studies that chose the default job; the README's table has the command's own, 0."""


@dataclass(frozen=True)
class Gain:
    """One algorithm's outcome in one study, in normalised returns.

    Attributes:
        seed: the study's.
        algo: the algorithm's name.
        default: of the default settings, a test seed each.
        tuned: of the tuned ones on the same seeds; the same runs where the default was kept.
        kept: whether it was.
    """

    seed: int
    algo: str
    default: tuple[float, ...]
    tuned: tuple[float, ...]
    kept: bool

    @property
    def difference(self) -> float:
        """Tuned less default, on average."""
        return float(np.mean(self.tuned) - np.mean(self.default))

    @property
    def half_width(self) -> float:
        """Of the 95 % t-interval of the difference (Welch); 0 where the default was kept."""
        if self.kept:
            return 0.0
        test = stats.ttest_ind(self.tuned, self.default, equal_var=False)
        return float(test.confidence_interval(0.95).high - self.difference)

    def row(self) -> str:
        """A line of the table."""
        tuned = "kept the default" if self.kept else f"{np.mean(self.tuned):.3f}"
        difference = f"{self.difference:+.3f} ± {self.half_width:.3f}"
        return (
            f"| {self.algo} | {self.seed} | {np.mean(self.default):.3f} | {tuned} "
            f"| {'0' if self.kept else difference} |"
        )


def study(seed: int, words: Sequence[str], folder: Path) -> list[Gain]:
    """Run the command with one seed, or take what is there, and read its judged runs.

    Raises:
        subprocess.CalledProcessError: the command fails.
    """
    logs = folder / f"seed_{seed}"
    command = [sys.executable, "-m", "ppo_lab.tune", "--seed", str(seed), *words]
    if not list(logs.glob("*/report.json")):
        subprocess.run(
            [*command, "--log-folder", str(logs)],
            cwd=HOME,
            env={**os.environ, "PYTHONPATH": str(HOME)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    (judged,) = logs.glob("*/judge")
    scores = {place.name: _scores(place) for place in sorted(judged.iterdir())}
    algos = [name.removesuffix("-default") for name in scores if name.endswith("-default")]
    return [
        Gain(
            seed,
            algo,
            scores[f"{algo}-default"],
            scores.get(f"{algo}-tuned", scores[f"{algo}-default"]),
            kept=f"{algo}-tuned" not in scores,
        )
        for algo in algos
    ]


def _scores(place: Path) -> tuple[float, ...]:
    records = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(place.glob("*/run.json"))]
    return tuple(
        (r["score"] - r["reference"]["low"]) / (r["reference"]["high"] - r["reference"]["low"])
        for r in records
    )


def table(gains: Sequence[Gain]) -> list[str]:
    """The studies' rows, and a sentence on each algorithm."""
    lines = [
        "| algorithm | study seed | default | tuned | tuned − default |",
        "|:--|--:|--:|--:|--:|",
    ]
    algos = list(dict.fromkeys(gain.algo for gain in gains))
    lines += [gain.row() for algo in algos for gain in gains if gain.algo == algo]
    lines.append("")
    for algo in algos:
        own = [gain for gain in gains if gain.algo == algo]
        above = sum(gain.difference > 0 for gain in own)
        clearly = sum(gain.difference - gain.half_width > 0 for gain in own if not gain.kept)
        lines.append(
            f"- {algo}: tuned was better than default in {above} of {len(own)} studies, in "
            f"{clearly} with an interval above 0; "
            f"{np.mean([gain.difference for gain in own]):+.3f} on average."
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the arguments choose."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, words = (given, []) if "--" not in given else _split(given)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=CHOOSING_SEEDS)
    parser.add_argument("--log-folder", type=Path, default=Path("logs/default-job"))
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args(own)
    folder = options.log_folder.resolve() / ("_".join(words).strip("-").replace("/", "-") or "job")
    gains = []
    for seed in options.seeds:
        gains += study(seed, words, folder)
        print(f"seed {seed} is done", file=sys.stderr)
    lines = "\n".join([f"`{' '.join(['python -m ppo_lab.tune', *words])}`:", "", *table(gains)])
    print(lines)
    if options.write:
        name = " ".join(dict.fromkeys(gain.algo for gain in gains))
        marks = rf"(?<=<!-- default job: {name} -->\n).*?(?=<!-- /default job: {name} -->)"
        page = options.write.read_text(encoding="utf-8")
        page = re.sub(marks, lambda _: f"{lines}\n", page, flags=re.DOTALL)
        options.write.write_text(page, encoding="utf-8")


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    place = given.index("--")
    return given[:place], given[place + 1 :]


if __name__ == "__main__":
    main()

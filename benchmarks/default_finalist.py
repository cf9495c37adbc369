"""What it is worth that the default is always a finalist: studies with and without, replayed.

``python benchmarks/default_finalist.py`` simulates studies whose true qualities are known. A
setting's quality is normal with a given spread, a run adds standard normal seed noise, and the
default's quality is a given quantile of the settings'. Finalists and winners are chosen by the
project's own functions, every rule on the same draws. ``--write FILE`` puts the tables between the
file's marks.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from honesty_synthetic import Finished
from optuna.trial import TrialState, create_trial
from scipy import stats

from tuning.candidates import Candidate, ranked
from tuning.finalists import Finalist, finalists
from tuning.protocol import TuningProtocol
from tuning.study import AlgorithmStudy

Array = npt.NDArray[np.float64]

NOW = TuningProtocol(env="", policy="")
"""The command's own budget."""
SPREADS = {
    1.0: "as large as the seed noise",
    0.55: "0.55 of the seed noise, as measured on the noisy grid above (0.193 / 0.353)",
}
QUANTILES = (0.5, 0.7, 0.9)
"""Of the default among the settings; 0.7 is rank 12 of 40, which it had on the noisy grid."""
MARKS = re.compile(r"(?<=<!-- default finalist -->\n).*?(?=<!-- /default finalist -->)", re.DOTALL)


@dataclass(frozen=True)
class Rule:
    """Who becomes a finalist.

    Attributes:
        name: in the table.
        trials: of screening, the default's among them.
        others: trials that become finalists; beside the default, where it always is one.
        default: whether it always is one.
    """

    name: str
    trials: int
    others: int
    default: bool

    @property
    def runs(self) -> int:
        """Of tuning."""
        return self.trials + (self.others + self.default) * NOW.replicas


BEFORE = Rule("the best 4", NOW.trials, NOW.finalists, default=False)
RULES = (
    BEFORE,
    Rule("the default and the best 4 others", NOW.trials, NOW.finalists, default=True),
    Rule("the same, for the runs of the first", NOW.trials - 10, NOW.finalists, default=True),
    Rule("the default and the best 3 others", NOW.trials, NOW.finalists - 1, default=True),
)


class _Replayed(AlgorithmStudy):
    """A study whose settings are names of drawn qualities; the default is trial 0."""

    @property
    def default_hyperparameters(self) -> dict[str, int]:
        """Trial 0's name."""
        return {"drawn": 0}


def replay(rule: Rule, qualities: Array, screened: Array, fresh: Array) -> float:
    """True quality of one study's pick, less the default's.

    Args:
        rule: who becomes a finalist.
        qualities: (trials,), the default's first.
        screened: (trials,) scores of screening.
        fresh: (trials, replicas) scores on fresh seeds, of which the finalists' are looked at.
    """
    trials = [
        create_trial(
            state=TrialState.COMPLETE,
            value=float(score),
            user_attrs={"hyperparameters": {"drawn": number}},
        )
        for number, score in enumerate(screened[: rule.trials])
    ]
    protocol = TuningProtocol(env="", policy="", trials=rule.trials, finalists=rule.others)
    study = _Replayed("spec_ppo", protocol, (), Path(), Finished(trials))  # type: ignore[arg-type]
    candidates = [
        Candidate(
            each.trial,
            each.hyperparameters,
            each.screened,
            tuple(fresh[each.hyperparameters["drawn"]].tolist()),
            each.is_default,
        )
        for each in (finalists(study) if rule.default else _best(study))
    ]
    return float(qualities[ranked(candidates)[0].hyperparameters["drawn"]] - qualities[0])


def _best(study: AlgorithmStudy) -> list[Finalist]:
    """Who was a finalist when the default had to be among the best to be one."""
    return [
        Finalist(number, study.settings_of(trial), trial.value, is_default=False)
        for number, trial in study.best(study.protocol.finalists)
    ]


def table(spread: float, studies: int) -> list[str]:
    """What each rule comes to where the qualities are spread so."""
    lines = [
        "| default | finalists | trials | runs of tuning | picks truly worse than the default "
        "| pick − default, mean |",
        "|:--|:--|--:|--:|--:|--:|",
    ]
    for quantile in QUANTILES:
        rng = np.random.default_rng(round(1000 * quantile))
        gains: dict[str, list[float]] = {rule.name: [] for rule in RULES}
        for _ in range(studies):
            qualities = spread * rng.standard_normal(NOW.trials)
            qualities[0] = spread * stats.norm.ppf(quantile)
            screened = qualities + rng.standard_normal(NOW.trials)
            fresh = qualities[:, None] + rng.standard_normal((NOW.trials, NOW.replicas))
            for rule in RULES:
                gains[rule.name].append(replay(rule, qualities, screened, fresh))
        for rule in RULES:
            gain = np.array(gains[rule.name])
            place = f"better than {quantile:.0%}" if rule is BEFORE else ""
            lines.append(
                f"| {place} | {rule.name} | {rule.trials} | {rule.runs} "
                f"| {(gain < 0).mean():.1%} | {gain.mean():+.2f} |"
            )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the arguments choose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000, help="of each row")
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    lines = []
    for spread, words in SPREADS.items():
        lines += [
            f"The settings' true qualities spread {words}:\n",
            *table(spread, options.studies),
        ]
        lines.append("")
    lines.append(f"{options.studies:,} studies a row, all rules on the same draws.")
    text = "\n".join([*lines, ""])
    print(text)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(MARKS.sub(lambda _: text, page), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The words that say what was spent, what was decided, and why."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from ppo_lab.hyperparams.reading import layers_of
from reports.text import counted
from tuning.candidates import Candidate, Tuned
from tuning.parameters import Choice, Fixed, Parameter
from tuning.protocol import TuningProtocol
from tuning.study import AlgorithmStudy, reason_of

__all__ = ["based_on", "decisions", "notes_of", "time_spent"]

OVERSHOOT = 1.05
"""A base whose runs take more than so many times the budget says so."""
_SAMPLERS = {
    "tpe": "TPE",
    "gp": "a Gaussian process",
    "cmaes": "CMA-ES",
    "qmc": "a Sobol' sequence",
    "random": "chance",
}
_PRUNERS = {
    "none": "no trial is stopped early",
    "halving": "successive halving stops trials on the learning curve of their first seed",
    "hyperband": "Hyperband stops trials on the learning curve of their first seed",
    "wilcoxon": "Wilcoxon's test stops trials seed by seed",
}


def notes_of(
    protocol: TuningProtocol,
    studies: Sequence[AlgorithmStudy],
    tuned: Sequence[Tuned],
    judged: Mapping[Path, FrozenTrial],
    replicated: Mapping[str, Sequence[FrozenTrial]],
) -> list[str]:
    """Plain sentences on protocol, spaces, spending, choice and failures.

    They are the same for the same seed, so that a report is: no time is in them
    (:func:`time_spent` has it).
    """
    return [
        *_protocol_notes(protocol),
        *(note for study in studies for note in _base_notes(study)),
        *(f"{s.algo} searched {'; '.join(map(_described, s.space))}." for s in studies),
        *(_spent_note(study, replicated[study.algo], judged) for study in studies),
        *(_choice_note(study, outcome) for study, outcome in zip(studies, tuned, strict=True)),
        *_failure_notes(studies, judged),
    ]


def based_on(study: AlgorithmStudy) -> list[str]:
    """Where all comes from that the study did not search, in a line; nothing for the defaults."""
    base = study.protocol.base
    return [] if base is None else [f"What was not searched is {base.origin}."]


def decisions(study: AlgorithmStudy, tuned: Tuned) -> dict[int, str]:
    """What was decided on each trial, and why: number → one line."""
    places = {candidate.trial: place for place, candidate in enumerate(tuned.candidates, 1)}
    finalists = {number for number, _ in study.best(study.protocol.finalists)}
    decided = {}
    for number, trial in study.outcomes().items():
        if trial.state != TrialState.COMPLETE:
            decided[number] = reason_of(trial)
        elif number in places:
            candidate = tuned.candidates[places[number] - 1]
            verdict = "wins" if places[number] == 1 else f"place {places[number]}"
            decided[number] = f"replicated: {_of_candidate(candidate)}; {verdict}"
        elif number in finalists:
            decided[number] = "replicated: failed on a fresh seed"
        else:
            decided[number] = f"not among the best {study.protocol.finalists}"
    return decided


def time_spent(
    studies: Sequence[AlgorithmStudy], others: Mapping[str, Sequence[FrozenTrial]]
) -> str:
    """What each algorithm's runs took, in seconds of one core."""
    parts = []
    for study in studies:
        trials = [*study.outcomes().values(), *others[study.algo]]
        seconds = sum(trial.user_attrs.get("seconds", 0.0) for trial in trials)
        parts.append(f"{study.algo} {seconds:.0f} s")
    return f"Time of one core that the runs took: {', '.join(parts)}."


def _protocol_notes(protocol: TuningProtocol) -> list[str]:
    evaluation = protocol.evaluation(judging=True, index=0).in_words
    shape = ", ".join(f"{name} {value}" for name, value in protocol.shape.items())
    runs = (
        f"{protocol.n_envs} environments, {shape} where the search does not say and the algorithm "
        "has them (A2C keeps its own); all else the algorithm's defaults."
    )
    if protocol.base is not None:
        runs = "what the search does not say is the base's."
    seeds = protocol.screening_seeds
    return [
        f"Tuning, for each algorithm alike: {protocol.trials} trials of {protocol.timesteps} "
        f"steps on {counted(len(seeds), 'tuning seed')}, proposed by "
        f"{_SAMPLERS[protocol.sampler]}; {_PRUNERS[protocol.pruner]}; then the best "
        f"{protocol.finalists} again on {protocol.replicas} fresh tuning seeds; the best mean over "
        "the fresh seeds won, of equal ones the one whose 95 % interval starts higher.",
        f"Every run: {runs} {evaluation}",
        f"Tuning seeds {_span(seeds)} and {_span(protocol.replica_seeds)}; test seeds from "
        f"{protocol.judge_seeds[0]} on; no seed serves both.",
    ]


def _base_notes(study: AlgorithmStudy) -> list[str]:
    """What a study starts from, and whether the search knows of it."""
    protocol, base = study.protocol, study.protocol.base
    if base is None:
        return []
    first = study.default_hyperparameters
    words = {**protocol.environment, **first}
    stated = ", ".join(f"{name} {value}" for name, value in words.items())
    knows = "the search knows how it did"
    if study.outside:
        knows = f"the search, which cannot express {', '.join(study.outside)}, is not told of it"
    rollout = first.get("n_steps", 0) * protocol.n_envs
    steps = -(-protocol.timesteps // rollout) * rollout if rollout else protocol.timesteps
    whole = f" Its rollouts are whole: a run takes {steps:,} steps."
    return [
        f"Base of {study.algo} ({base.word}): {base.origin}; tuning: {base.tuning}. "
        f"{counted(protocol.n_envs, 'environment')}, {study.policy}, {stated}; all else the "
        f"algorithm's defaults. Trial 1 is the base as it stands here; {knows}."
        f"{whole if steps > OVERSHOOT * protocol.timesteps else ''}"
    ]


def _described(parameter: Parameter) -> str:
    if isinstance(parameter, Fixed):
        return f"{parameter.name} = {parameter.value} (fixed)"
    if isinstance(parameter, Choice):
        return f"{parameter.name} in {{{', '.join(map(str, parameter.values))}}}"
    scale = "" if parameter.scale == "linear" else f" ({parameter.scale.replace('_', ' ')})"
    return f"{parameter.name} {parameter.low:g}–{parameter.high:g}{scale}"


def _spent_note(
    study: AlgorithmStudy, replicated: Sequence[FrozenTrial], judged: Mapping[Path, FrozenTrial]
) -> str:
    screened = list(study.outcomes().values())
    stopped = len(study.of_state(TrialState.PRUNED))
    failed = len(study.of_state(TrialState.FAIL))
    of_algo = [t for folder, t in judged.items() if folder.parent.name.startswith(f"{study.algo}-")]
    return (
        f"Spent on {study.algo}: {len(screened)} trials ({stopped} stopped, {failed} failed) and "
        f"{len(replicated)} replications, {_steps(screened) + _steps(replicated)} steps of tuning; "
        f"{len(of_algo)} judged runs, {_steps(of_algo)} steps."
    )


def _steps(trials: Sequence[FrozenTrial]) -> int:
    return sum(trial.user_attrs.get("steps", 0) for trial in trials)


def _choice_note(study: AlgorithmStudy, outcome: Tuned) -> str:
    winner = outcome.winner
    searched = {p.name for p in study.space if not isinstance(p, Fixed)}
    chosen = {k: v for k, v in winner.hyperparameters.items() if k in searched}
    if "net_arch" in searched:
        chosen["net_arch"] = layers_of(winner.hyperparameters.get("policy_kwargs"))
    words = ", ".join(f"{name} {_number(value)}" for name, value in chosen.items())
    others = [f"trial {c.trial + 1} {c.mean:.3f}" for c in outcome.candidates[1:]]
    return f"{study.algo} (tuned) is trial {winner.trial + 1}: {words}; {_of_candidate(winner)}" + (
        f" (the other finalists there: {', '.join(others)})." if others else "."
    )


def _of_candidate(candidate: Candidate) -> str:
    return f"screened at {candidate.screened:.3f}, {candidate.mean:.3f} on the fresh seeds"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _failure_notes(
    studies: Sequence[AlgorithmStudy], judged: Mapping[Path, FrozenTrial]
) -> list[str]:
    notes = []
    for study in studies:
        for state, verb in ((TrialState.FAIL, "failed"), (TrialState.PRUNED, "were stopped")):
            trials = study.of_state(state)
            if trials:
                notes.append(
                    f"{counted(len(trials), 'trial')} of {study.algo} {verb}, the first: "
                    f"{reason_of(trials[0])}"
                )
    reasons = [reason_of(t) for t in judged.values() if t.state == TrialState.FAIL]
    if reasons:
        notes.append(f"{len(reasons)} judged runs failed, the first: {reasons[0]}")
    return notes


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"

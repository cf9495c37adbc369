"""The words that say what was spent, what was decided, and why."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from ppo_lab.hyperparams.reading import layers_of
from reports.text import counted
from tuning.candidates import Candidate, Tuned
from tuning.finalists import Finalist, finalists, same_settings
from tuning.parameters import Choice, Fixed, Parameter
from tuning.protocol import TuningProtocol
from tuning.study import AlgorithmStudy, reason_of

__all__ = ["based_on", "decisions", "headline", "notes_of", "time_spent"]

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
    replicated: Mapping[str, Mapping[str, Sequence[FrozenTrial]]],
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
        *(note for study in studies for note in _fresh_failures(study, replicated[study.algo])),
        *_failure_notes(studies, judged),
    ]


def based_on(study: AlgorithmStudy) -> list[str]:
    """Where all comes from that the study did not search, in a line; nothing for the defaults."""
    base = study.protocol.base
    return [] if base is None else [f"What was not searched is {base.origin}."]


def decisions(study: AlgorithmStudy, tuned: Tuned) -> dict[int, str]:
    """What was decided on each trial, and why: number → one line."""
    places = {candidate.trial: place for place, candidate in enumerate(tuned.candidates, 1)}
    chosen = {finalist.trial: finalist for finalist in finalists(study)}
    decided = {}
    for number, trial in study.outcomes().items():
        failed = "" if trial.state == TrialState.COMPLETE else reason_of(trial)
        is_default = number in chosen and chosen[number].is_default
        what = f"the {_base(study.protocol)} settings" if is_default else ""
        if number in places:
            candidate = tuned.candidates[places[number] - 1]
            verdict = "wins" if places[number] == 1 else f"place {places[number]}"
            replicated = f"replicated: {_of_candidate(candidate)}; {verdict}"
            decided[number] = "; ".join(filter(None, (failed, what, replicated)))
        elif number in chosen:
            replicated = "replicated: failed on a fresh seed"
            decided[number] = "; ".join(filter(None, (failed, what, replicated)))
        elif failed:
            decided[number] = failed
        else:
            decided[number] = _left_out(study, trial, chosen.values())
    return decided


def _left_out(study: AlgorithmStudy, trial: FrozenTrial, chosen: Iterable[Finalist]) -> str:
    settings = study.settings_of(trial)
    for finalist in chosen:
        if same_settings(settings, finalist.hyperparameters):
            return f"the same settings as {_name(study.protocol, finalist)}"
    return f"not among the best {study.protocol.finalists}"


def _base(protocol: TuningProtocol) -> str:
    """What the settings are called that a search has to beat."""
    return "default" if protocol.base is None else "base"


def _name(protocol: TuningProtocol, one: Finalist | Candidate) -> str:
    if one.is_default or one.trial is None:
        return f"the {_base(protocol)}"
    return f"trial {one.trial + 1}"


def headline(protocol: TuningProtocol, outcome: Tuned) -> list[str]:
    """The lines above the best settings in their file: which they are, and what they scored."""
    winner = outcome.winner
    mean = f"{winner.mean:.3f} on average over {protocol.replicas} seeds that did not propose"
    if outcome.keeps_default or winner.trial is None:
        return [
            f"{outcome.algo}, the {_base(protocol)} settings: python -m ppo_lab.tune kept them, "
            f"for no trial of {protocol.trials} beat them, study seed {protocol.seed};",
            f"{mean} anything.",
        ]
    return [
        f"{outcome.algo}, tuned by python -m ppo_lab.tune: trial {winner.trial + 1} of "
        f"{protocol.trials}, study seed {protocol.seed};",
        f"{mean} it (the best of several, so a little too high: see the judged score).",
    ]


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
        f"{_SAMPLERS[protocol.sampler]}; {_PRUNERS[protocol.pruner]}; then the {_base(protocol)} "
        f"settings and the best {protocol.finalists} others again on {protocol.replicas} fresh "
        f"tuning seeds, the same for all: {_budget(protocol)}; the best mean over the fresh seeds "
        "won, of equal ones the one whose 95 % interval starts higher, then the "
        f"{_base(protocol)}.",
        f"Every run: {runs} {evaluation}",
        f"Tuning seeds {_span(seeds)} and {_span(protocol.replica_seeds)}; test seeds from "
        f"{protocol.judge_seeds[0]} on; no seed serves both.",
    ]


def _budget(protocol: TuningProtocol) -> str:
    screened = f"{protocol.trials} × {len(protocol.screening_seeds)}"
    replicated = f"({protocol.replicated - 1} + 1) × {protocol.replicas}"
    return f"at most {screened} + {replicated} = {protocol.tuning_runs} runs of tuning"


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
    study: AlgorithmStudy,
    replicated: Mapping[str, Sequence[FrozenTrial]],
    judged: Mapping[Path, FrozenTrial],
) -> str:
    again = [trial for trials in replicated.values() for trial in trials]
    of_default = next(len(replicated[f.name]) for f in finalists(study) if f.is_default)
    screened = list(study.outcomes().values())
    stopped = len(study.of_state(TrialState.PRUNED))
    failed = len(study.of_state(TrialState.FAIL))
    of_algo = [t for folder, t in judged.items() if folder.parent.name.startswith(f"{study.algo}-")]
    return (
        f"Spent on {study.algo}: {len(screened)} trials ({stopped} stopped, {failed} failed) and "
        f"{len(again)} replications ({of_default} of them of the {_base(study.protocol)} "
        f"settings), {_steps(screened) + _steps(again)} steps of tuning; "
        f"{len(of_algo)} judged runs, {_steps(of_algo)} steps."
    )


def _steps(trials: Sequence[FrozenTrial]) -> int:
    return sum(trial.user_attrs.get("steps", 0) for trial in trials)


def _choice_note(study: AlgorithmStudy, outcome: Tuned) -> str:
    winner = outcome.winner
    others = [f"{_name(study.protocol, c)} {c.mean:.3f}" for c in outcome.candidates[1:]]
    there = f"the other finalists there: {', '.join(others)}" if others else ""
    if outcome.keeps_default:
        return (
            f"{study.algo}: the {_base(study.protocol)} was kept, for no trial beat it: "
            f"{_of_candidate(winner)}{f' ({there})' if there else ''}; so there is no row of tuned "
            "settings, which would be the same runs twice."
        )
    searched = {p.name for p in study.space if not isinstance(p, Fixed)}
    chosen = {k: v for k, v in winner.hyperparameters.items() if k in searched}
    if "net_arch" in searched:
        chosen["net_arch"] = layers_of(winner.hyperparameters.get("policy_kwargs"))
    words = ", ".join(f"{name} {_number(value)}" for name, value in chosen.items())
    tuned = f"{study.algo} (tuned) is {_name(study.protocol, winner)}: {words}"
    return f"{tuned}; {_of_candidate(winner)}{f' ({there})' if there else ''}."


def _of_candidate(candidate: Candidate) -> str:
    screened = "" if candidate.screened is None else f"screened at {candidate.screened:.3f}, "
    return f"{screened}{candidate.mean:.3f} on the fresh seeds"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _fresh_failures(
    study: AlgorithmStudy, replicated: Mapping[str, Sequence[FrozenTrial]]
) -> list[str]:
    """A finalist that failed on a fresh seed is none: that it did is said, of the default too."""
    notes = []
    for finalist in finalists(study):
        failed = [t for t in replicated[finalist.name] if t.state == TrialState.FAIL]
        if failed:
            name = _name(study.protocol, finalist)
            notes.append(
                f"{name[0].upper()}{name[1:]} of {study.algo} failed on "
                f"{counted(len(failed), 'fresh seed')} and could not win: {reason_of(failed[0])}"
            )
    return notes


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

"""Proposals and decisions to stop depend on a trial's number and the past that it may know."""

import zlib
from typing import Any, get_args

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.proposals import Hindsight, quiet
from tuning.protocol import Pruner, Sampler, TuningProtocol
from tuning.spaces import SPACES, default_suggestion, distributions

SPACE = SPACES["core"]["spec_ppo"]
KNOWN = distributions(SPACE)
FIRST = default_suggestion("spec_ppo", SPACE, {})


def protocol(sampler: Sampler = "tpe", pruner: Pruner = "none", **changes: Any) -> TuningProtocol:
    return TuningProtocol("env", "MlpPolicy", sampler=sampler, pruner=pruner, **changes)


def quality(params: dict[str, Any]) -> float:
    return -abs(params["clip_range"] - 0.3) - abs(params["gae_lambda"] - 0.9)


def screened(used: TuningProtocol, trials: int) -> list[FrozenTrial]:
    """A whole screening with made-up scores, as the study would run it."""
    past: list[FrozenTrial] = []
    for number in range(trials):
        known = past[: max(0, number - used.window + 1)]
        proposal = Hindsight("study", used, number, tuple(known)).propose(KNOWN, FIRST)
        past.append(
            create_trial(
                params=dict(proposal.params),
                distributions=KNOWN,
                value=quality(dict(proposal.params)),
                system_attrs=dict(proposal.system_attrs),
            )
        )
    return past


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_every_sampler_begins_with_the_default_and_repeats(sampler: Sampler) -> None:
    first, second = (
        [t.params for t in screened(protocol(sampler, window=2), 13)] for _ in range(2)
    )
    assert first == second
    assert first[0] == FIRST
    assert len({str(sorted(params.items())) for params in first}) == 13


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_another_seed_proposes_other_settings(sampler: Sampler) -> None:
    first, second = (screened(protocol(sampler, seed=seed), 3)[2].params for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_that_learn_come_nearer_than_chance(sampler: Sampler) -> None:
    # Last 10 of 40 trials, 3 studies.
    gains = []
    for seed in range(3):
        learnt, chance = (
            np.mean([t.value for t in screened(protocol(s, seed=seed), 40)[-10:]])
            for s in (sampler, "random")
        )
        gains.append(learnt - chance)
    assert min(gains) > 0


def test_quasi_random_sequence_is_optunas_own() -> None:
    settings = [t.params for t in screened(protocol("qmc", seed=7), 6)]
    with quiet():
        sobol = optuna.samplers.QMCSampler(scramble=True, seed=7, warn_independent_sampling=False)
    study = optuna.create_study(sampler=sobol)
    study.add_trial(create_trial(params=FIRST, distributions=KNOWN, value=0.0))
    assert settings[1:] == [study.ask(KNOWN).params for _ in range(5)]


def finished(curve: list[float], state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    """A past trial with the scores at its rungs 1, 2, 4 as successive halving stores them."""
    rungs = {f"completed_rung_{i}": curve[step - 1] for i, step in enumerate((1, 2, 4))}
    return create_trial(
        state=state,
        params=FIRST,
        distributions=KNOWN,
        value=curve[-1],
        intermediate_values=dict(enumerate(curve, 1)),
        system_attrs=rungs,
    )


def test_halving_lets_the_better_half_go_on() -> None:
    past = tuple(finished([score] * 4) for score in (1.0, 2.0, 3.0))
    used = protocol(pruner="halving", window=1)
    # Four at the rung with this one: 4 // 2 = 2 go on, so it has to be among the best two.
    for score, stops in ((2.5, False), (1.5, True)):
        watch = Hindsight("study", used, 3, past).watch(FIRST, KNOWN)
        assert watch.stops(1, score) is stops
        assert watch.system_attrs == {"completed_rung_0": score}


def test_halving_knows_nothing_of_the_trials_of_the_window() -> None:
    past = tuple(finished([score] * 4) for score in (1.0, 2.0, 3.0))
    used = protocol(pruner="halving", window=4)
    assert not Hindsight("study", used, 3, past[:0]).watch(FIRST, KNOWN).stops(1, -9.0)


def test_hyperband_draws_brackets_by_the_trials_number() -> None:
    past = tuple(finished([score] * 4) for score in np.linspace(0, 1, 20))
    used = protocol(pruner="hyperband", window=1)
    stopped = [
        Hindsight("study", used, 20 + n, past + past[:n]).watch(FIRST, KNOWN).stops(1, -1.0)
        for n in range(10)
    ]
    # The worst score is stopped at the first rung in the first of the three brackets only.
    assert 0 < sum(stopped) < 10


def bracket(number: int) -> int:
    """Hyperband's bracket of a trial of the study "study" with four rungs.

    It has ⌊log₂ 4⌋ + 1 = 3, to which trials go by the hash of study and number, in the shares
    ⌈3·2²/3⌉ = 4, ⌈3·2/2⌉ = 3 and ⌈3·1/1⌉ = 3 of 10 (Li et al. 2018, Algorithm 1).
    """
    share = zlib.crc32(f"study_{number}".encode()) % 10
    return 0 if share < 4 else 1 if share < 7 else 2


@pytest.mark.parametrize("window", [1, 4, 12])
def test_hyperband_takes_a_trials_bracket_by_its_number_whatever_is_not_known_yet(
    window: int,
) -> None:
    used = protocol(pruner="hyperband", window=window)
    everything = [finished([float(number)] * 4) for number in range(40)]
    numbers = range(24, 40)
    stopped = []
    for number in numbers:
        past = tuple(everything[: number - window + 1])
        stopped.append(Hindsight("study", used, number, past).watch(FIRST, KNOWN).stops(1, -1.0))
    # The worst is stopped at the first rung where its bracket has one there: bracket s begins
    # at rung 2ˢ. What is not known yet takes a number, and no part in the comparison.
    assert stopped == [bracket(number) == 0 for number in numbers]
    assert 0 < sum(stopped) < len(stopped)


@pytest.mark.parametrize("own", [-9.0, 9.0])
def test_hyperband_compares_a_trial_with_those_of_its_own_bracket(own: float) -> None:
    used = protocol(pruner="hyperband", window=4)
    scores = [own if bracket(number) == 0 else -own for number in range(40)]
    everything = [finished([score] * 4) for score in scores]
    for number in (number for number in range(24, 40) if bracket(number) == 0):
        past = tuple(everything[: number - 3])
        watch = Hindsight("study", used, number, past).watch(FIRST, KNOWN)
        assert watch.stops(1, 0.0) is (own > 0)


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_trials_that_are_not_known_yet_stop_nobody(pruner: Pruner) -> None:
    used = protocol(pruner=pruner, window=30)
    for number in range(20, 30):
        watch = Hindsight("study", used, number, ()).watch(FIRST, KNOWN)
        assert not any(watch.stops(rung, -9.0) for rung in range(1, 5))


def test_wilcoxon_stops_what_is_worse_seed_by_seed() -> None:
    best = create_trial(
        params=FIRST,
        distributions=KNOWN,
        value=1.0,
        intermediate_values=dict.fromkeys(range(6), 1.0),
    )
    used = protocol(pruner="wilcoxon", window=1, screen_seeds=6)
    watch = Hindsight("study", used, 1, (best,)).watch(FIRST, KNOWN)
    # All n differences have one sign: p = 1/2ⁿ, below 0.1 from n = 4 on.
    assert [watch.stops(i, 0.5 - 0.01 * i) for i in range(4)] == [False, False, False, True]

"""One check in place of many: SB3's numbers to the bit, and torch's refusals as they were."""

from collections.abc import Callable

import pytest
import torch as th
from stable_baselines3.common.distributions import (
    BernoulliDistribution,
    CategoricalDistribution,
    DiagGaussianDistribution,
    MultiCategoricalDistribution,
    SquashedDiagGaussianDistribution,
)

from ppo_lab import SpecPPO
from ppo_lab.errors import NonFiniteError
from ppo_lab.ppo.distributions import (
    CheckedOnceCategorical,
    CheckedOnceGaussian,
    checked_once,
)

LOGITS = th.tensor([[0.5, -1.0, 30.0], [0.0, 0.0, 0.0]])
MEANS, LOG_STD = th.tensor([[0.5, -1e20], [3.0, 0.1]]), th.tensor([-2.0, 0.3])


def test_a_categorical_is_sb3s_to_the_bit() -> None:
    ours = CheckedOnceCategorical(3).proba_distribution(LOGITS)
    sb3 = CategoricalDistribution(3).proba_distribution(LOGITS)
    actions = th.tensor([2, 1])
    assert th.equal(ours.log_prob(actions), sb3.log_prob(actions))
    assert th.equal(ours.log_prob(actions.float()), sb3.log_prob(actions.float()))
    assert th.equal(ours.entropy(), sb3.entropy())
    assert th.equal(ours.mode(), sb3.mode())
    th.manual_seed(3)
    drawn = ours.sample()
    th.manual_seed(3)
    assert th.equal(drawn, sb3.sample())


def test_a_gaussian_is_sb3s_to_the_bit() -> None:
    ours = CheckedOnceGaussian(2).proba_distribution(MEANS, LOG_STD)
    sb3 = DiagGaussianDistribution(2).proba_distribution(MEANS, LOG_STD)
    actions = th.tensor([[0.1, 0.2], [4.0, -0.3]])
    assert th.equal(ours.log_prob(actions), sb3.log_prob(actions))
    entropies = ours.entropy(), sb3.entropy()
    assert th.equal(*entropies)  # type: ignore[arg-type]
    th.manual_seed(3)
    drawn = ours.sample()
    th.manual_seed(3)
    assert th.equal(drawn, sb3.sample())


BROKEN: dict[str, Callable[[], object]] = {
    "logit NaN": lambda: CheckedOnceCategorical(2).proba_distribution(
        th.tensor([[0.0, 1.0], [th.nan, 0.0]])
    ),
    "mean NaN": lambda: CheckedOnceGaussian(1).proba_distribution(
        th.tensor([[0.0], [th.nan]]), th.zeros(1)
    ),
    "scale NaN": lambda: CheckedOnceGaussian(2).proba_distribution(
        th.zeros(1, 2), th.tensor([0.0, th.nan])
    ),
    "scale 0": lambda: CheckedOnceGaussian(2).proba_distribution(
        th.zeros(1, 2), th.tensor([0.0, -200.0])
    ),
    "action between two": lambda: (
        CheckedOnceCategorical(3).proba_distribution(LOGITS).log_prob(th.tensor([0.5, 1.0]))
    ),
    "action beyond the last, as a float": lambda: (
        CheckedOnceCategorical(3).proba_distribution(LOGITS).log_prob(th.tensor([3.0, 1.0]))
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_torch_refuses_is_refused(broken: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"to satisfy the constraint|within the support"):
        broken()


def test_large_logits_whose_sum_overflows_are_no_error() -> None:
    # 3e38 + 3e38 is beyond float32's 3.4e38, though each is finite: torch's own checks decide.
    logits = th.tensor([[3e38, 3e38]])
    expected = CategoricalDistribution(2).proba_distribution(logits).distribution.probs
    assert th.equal(
        CheckedOnceCategorical(2).proba_distribution(logits).distribution.probs, expected
    )


@pytest.mark.parametrize(
    "other",
    [
        MultiCategoricalDistribution([2, 3]),
        BernoulliDistribution(2),
        SquashedDiagGaussianDistribution(2),
    ],
)
def test_every_other_distribution_stays_what_it_is(other: object) -> None:
    assert checked_once(other) is other  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("env_id", "parameter"), [("CartPole-v1", "action_net.bias"), ("Pendulum-v1", "log_std")]
)
def test_a_policy_that_broke_down_stops_before_the_environment_is_stepped(
    env_id: str, parameter: str
) -> None:
    model = SpecPPO("MlpPolicy", env_id, n_steps=8, batch_size=8, backend="torch", device="cpu")
    with th.no_grad():
        model.policy.get_parameter(parameter)[0] = th.nan
    with pytest.raises(NonFiniteError, match="distribution broke down at step 0"):
        model.learn(8)

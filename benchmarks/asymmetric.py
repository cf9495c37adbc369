"""What a critic that sees more is worth where luck is hidden, and how fast it trains.

``taskset -c 0 python -m benchmarks.asymmetric`` trains 20 seeds with a critic that sees the luck of
an episode and 20 without, on the task of ``docs/asymmetric_critic.md``, and prints how often each
acts right with a 95 % interval of the difference. Then it trains one by torch and one by the
kernels in turns, by CPU time of one process. Exits with 1 if no difference is shown.
"""

from statistics import median
from typing import Any

from benchmarks import before_numpy  # noqa: F401 - first
from benchmarks.clocks import ratio, rounds_of
from benchmarks.page_marks import Printed
from benchmarks.printed_rounds import printed_rounds

import gymnasium as gym  # isort: skip
import numpy as np  # isort: skip
from gymnasium import spaces  # isort: skip

SEEDS, STEPS, COPIES = 20, 4000, 4
SETTINGS: dict[str, Any] = {"n_steps": 64, "batch_size": 64, "n_epochs": 5, "device": "cpu"}
MARK = "asymmetric"


class Hidden(gym.Env[Any, Any]):
    """Pays 1 for telling a clue's sign, and ±2 a step by an episode's luck; 8 steps."""

    observation_space = spaces.Dict(
        {"clue": spaces.Box(-1, 1, (3,)), "state": spaces.Box(-9, 9, (2,))}
    )
    action_space = spaces.Discrete(2)

    def _seen(self) -> dict[str, Any]:
        self.clue = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return {"clue": self.clue, "state": np.array([self.luck, self.clock], np.float32)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Draw the luck."""
        super().reset(seed=seed, options=options)
        self.luck, self.clock = float(self.np_random.choice([-2.0, 2.0])), 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        """Pay."""
        right = (self.clue[0] > 0) == bool(action)
        self.clock += 1
        return self._seen(), self.luck + float(right), self.clock == 8, False, {}


def blind() -> gym.Env[Any, Any]:
    """The same without what the critic alone would see, as one array."""
    seen = gym.wrappers.FilterObservation(Hidden(), ["clue"])
    return gym.wrappers.FlattenObservation(seen)


def model(sees: bool, seed: int, **how: Any) -> Any:
    """A model that has not learned yet."""
    from stable_baselines3.common.env_util import make_vec_env

    from ppo_lab import SpecPPO

    env = make_vec_env(Hidden if sees else blind, COPIES, seed=seed)
    kwargs = {"critic_only": ["state"]} if sees else {}
    policy = "MultiInputPolicy" if sees else "MlpPolicy"
    # A rate at which the critic reaches 16 within the budget: at 3e-4 neither side learns.
    return SpecPPO(
        policy, env, learning_rate=3e-3, policy_kwargs=kwargs, seed=seed, **SETTINGS, **how
    )


def acts_right(sees: bool, seed: int) -> float:
    """How often the trained actor tells the sign of 200 clues."""
    trained = model(sees, seed, backend="compiled").learn(STEPS)
    clues = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    actions, _ = trained.predict({"clue": clues} if sees else clues, deterministic=True)
    return float(np.mean((clues[:, 0] > 0) == actions.astype(bool)))


def main() -> int:
    """Print it; 0 where the interval lies above 0."""
    with printed_rounds(__doc__, MARK) as (say, rounds):
        return 0 if measured(say, rounds) > 0 else 1


def measured(say: Printed, rounds: int) -> float:
    """Say what was measured; the lower end of the difference's interval."""
    from scipy import stats

    sides = [np.array([acts_right(sees, s) for s in range(SEEDS)]) for sees in (True, False)]
    say(f"\n{STEPS} steps, {SEEDS} seeds a side; right actions of 200")
    for words, scores in zip(("the critic sees the luck", "it does not"), sides, strict=True):
        say(f"  {words:25} {scores.mean():.3f} (standard deviation {scores.std(ddof=1):.3f})")
    interval = stats.ttest_ind(*sides, equal_var=False).confidence_interval(0.95)
    gained = float(sides[0].mean() - sides[1].mean())
    told = f"{interval.low:.3f} to {interval.high:.3f} (Welch)"
    say(f"  difference {gained:.3f}, 95 % interval {told}")
    steps = COPIES * SETTINGS["n_steps"]
    made = {backend: model(True, 0, backend=backend) for backend in ("torch", "compiled")}
    timed = rounds_of([lambda m=m: m.learn(steps) for m in made.values()], rounds)
    say(f"\nsteps a CPU second, median of {rounds} rounds of {steps} steps")
    for backend, seconds in zip(made, timed, strict=True):
        say(f"  by {backend:10} {steps / median(seconds):9,.0f}")
    say(f"  compiled is {ratio(timed[0], timed[1])} times as fast")
    return float(interval.low)


if __name__ == "__main__":
    raise SystemExit(main())

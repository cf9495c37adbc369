"""What RecurrentPPO costs beside PPO, where its time goes, and what compiling it gains.

``taskset -c 0 python -m benchmarks.recurrent`` trains SB3's PPO, sb3-contrib's RecurrentPPO and PPO
Lab's, which is compiled, in turns on CartPole with the same settings, by CPU time of one process,
and tells the parts of both RecurrentPPOs' time.
"""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks import before_numpy  # noqa: F401 - first
from benchmarks.clocks import cpu_seconds, ratio, rounds_of
from benchmarks.page_marks import Printed
from benchmarks.printed_rounds import printed_rounds

SHAPES = {"1 × 2048, minibatch 64": (1, 2048, 64), "8 × 128, minibatch 128": (8, 128, 128)}
WIDTHS = (256, 64)
EPOCHS = 10
MARK = "recurrent"


def models(shape: tuple[int, int, int], width: int) -> Mapping[str, Any]:
    """PPO, and RecurrentPPO with LSTMs of so many units, in so many copies of CartPole."""
    from sb3_contrib import RecurrentPPO
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    import ppo_lab

    n_envs, n_steps, batch_size = shape
    settings: dict[str, Any] = {
        **{"n_steps": n_steps, "batch_size": batch_size, "n_epochs": EPOCHS},
        **{"device": "cpu", "seed": 0},
    }
    env = [make_vec_env("CartPole-v1", n_envs, seed=0) for _ in range(3)]
    settings_of_both = {**settings, "policy_kwargs": {"lstm_hidden_size": width}}
    return {
        "PPO": PPO("MlpPolicy", env[0], **settings),
        "RecurrentPPO": RecurrentPPO("MlpLstmPolicy", env[1], **settings_of_both),
        "the same, compiled": ppo_lab.RecurrentPPO(
            "MlpLstmPolicy", env[2], backend="compiled", **settings_of_both
        ),
    }


class Parts:
    """CPU seconds of a model's two halves, call by call.

    Args:
        model: its ``collect_rollouts`` and ``train`` are timed.
    """

    def __init__(self, model: Any) -> None:
        self.seconds: dict[str, list[float]] = {}
        for name in ("collect_rollouts", "train"):
            setattr(model, name, self._timed(name, getattr(model, name)))

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            found: list[Any] = []
            took = cpu_seconds(lambda: found.append(method(*args, **kwargs)))
            self.seconds.setdefault(name, []).append(took)
            return found[0]

        return timed


def main() -> None:
    """Print it."""
    with printed_rounds(__doc__, MARK, ("sb3-contrib",)) as (say, rounds):
        for name, shape in SHAPES.items():
            for width in WIDTHS:
                compare(name, shape, width, rounds, say)


def compare(name: str, shape: tuple[int, int, int], width: int, rounds: int, say: Printed) -> None:
    """One shape and width: rates and parts."""
    steps = shape[0] * shape[1]
    made = models(shape, width)
    parts = {side: Parts(model).seconds for side, model in made.items()}
    timed = rounds_of([lambda m=m: m.learn(steps) for m in made.values()], rounds)
    say(f"\nCartPole-v1, {name}, {EPOCHS} epochs, LSTMs of {width}; median of {rounds} rounds")
    for side, seconds in zip(made, timed, strict=True):
        shares = ", ".join(
            f"{part} {median(took[1:]) / median(seconds):.0%}"  # the first round is no round
            for part, took in parts[side].items()
        )
        say(f"  {side:18} {steps / median(seconds):8,.0f} steps a CPU second: {shares}")
    updates = [parts[side]["train"][1:] for side in ("RecurrentPPO", "the same, compiled")]
    say(f"  compiled: {ratio(timed[1], timed[2])} times, the update alone {ratio(*updates)} times; "
        f"PPO: {ratio(timed[1], timed[0])} times")  # fmt: skip


if __name__ == "__main__":
    main()

"""What RecurrentPPO costs beside PPO, where its time goes, and what compiling it could gain.

``taskset -c 0 python -m benchmarks.recurrent`` trains SB3's PPO and sb3-contrib's RecurrentPPO in
turns on CartPole with the same settings, by CPU time of one process, and tells the parts of
RecurrentPPO's. What no implementation can leave out are the LSTMs' matrix products: NumPy's BLAS
makes them in the shapes of a rollout and an update, once as if no step waited for the one before
it, and once in chains as long as the sequences that the update meets. RecurrentPPO's time over
theirs bounds what a compiled one can gain.
"""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks import before_numpy  # noqa: F401 - first
from benchmarks.clocks import cpu_seconds, ratio, rounds_of
from benchmarks.page_marks import Printed
from benchmarks.printed_rounds import printed_rounds

import numpy as np  # isort: skip

SHAPES = {"1 × 2048, minibatch 64": (1, 2048, 64), "8 × 128, minibatch 128": (8, 128, 128)}
WIDTHS = (256, 64)
EPOCHS, INPUTS = 10, 4
MARK = "recurrent"


def models(shape: tuple[int, int, int], width: int) -> Mapping[str, Any]:
    """PPO, and RecurrentPPO with LSTMs of so many units, in so many copies of CartPole."""
    from sb3_contrib import RecurrentPPO
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    n_envs, n_steps, batch_size = shape
    settings: dict[str, Any] = {
        **{"n_steps": n_steps, "batch_size": batch_size, "n_epochs": EPOCHS},
        **{"device": "cpu", "seed": 0},
    }
    env = [make_vec_env("CartPole-v1", n_envs, seed=0) for _ in range(2)]
    kwargs = {"lstm_hidden_size": width}
    return {
        "PPO": PPO("MlpPolicy", env[0], **settings),
        "RecurrentPPO": RecurrentPPO("MlpLstmPolicy", env[1], policy_kwargs=kwargs, **settings),
    }


class Parts:
    """CPU seconds of a model's methods, as they are called.

    Args:
        model: its ``collect_rollouts`` and ``train``, and two of its policy's, are timed.
    """

    def __init__(self, model: Any) -> None:
        self.seconds: dict[str, float] = {}
        for holder, name in (
            (model, "collect_rollouts"),
            (model, "train"),
            (model.policy, "forward"),
            (model.policy, "evaluate_actions"),
        ):
            setattr(holder, name, self._timed(name, getattr(holder, name)))

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            found: list[Any] = []
            took = cpu_seconds(lambda: found.append(method(*args, **kwargs)))
            self.seconds[name] = self.seconds.get(name, 0.0) + took
            return found[0]

        return timed


def products(shape: tuple[int, int, int], width: int, length: int) -> Callable[[], object]:
    """The products of two LSTMs in one rollout and its update, in chains of ``length`` steps.

    A step's gates are (rows, inputs + H) × (inputs + H, 4 H) forwards; backwards come the product
    with the weights' transpose and, once for all steps of a minibatch, that of the weights'
    gradient.
    """
    n_envs, n_steps, batch_size = shape
    rng = np.random.default_rng(0)
    k, gates = INPUTS + width, 4 * width
    weight = rng.standard_normal((k, gates)).astype(np.float32)
    acting = rng.standard_normal((n_envs, k)).astype(np.float32)
    batch = rng.standard_normal((batch_size, k)).astype(np.float32)
    deltas = rng.standard_normal((batch_size, gates)).astype(np.float32)
    rows = max(1, batch_size // length)
    n_minibatches = EPOCHS * n_envs * n_steps // batch_size

    def make() -> None:
        for _ in range(2 * n_steps):
            acting @ weight
        for _ in range(2 * n_minibatches):
            for _ in range(batch_size // rows):
                delta = batch[:rows] @ weight
                delta @ weight.T
            batch.T @ deltas

    return make


def sequence_length(model: Any) -> float:
    """Steps of a sequence of the update, on average: episodes, cut where a minibatch begins."""
    starts = model.rollout_buffer.episode_starts
    n_cuts = starts.size / model.batch_size
    return float(starts.size / (starts.sum() + n_cuts))


def main() -> None:
    """Print it."""
    with printed_rounds(__doc__, MARK, ("sb3-contrib",)) as (say, rounds):
        for name, shape in SHAPES.items():
            for width in WIDTHS:
                compare(name, shape, width, rounds, say)


def compare(name: str, shape: tuple[int, int, int], width: int, rounds: int, say: Printed) -> None:
    """One shape and width: rates, parts, bounds."""
    steps = shape[0] * shape[1]
    made = models(shape, width)
    recurrent = made["RecurrentPPO"]
    timed = rounds_of([lambda m=m: m.learn(steps) for m in made.values()], rounds)
    say(f"\nCartPole-v1, {name}, {EPOCHS} epochs, LSTMs of {width}; median of {rounds} rounds")
    for side, seconds in zip(made, timed, strict=True):
        say(f"  {side:14} {steps / median(seconds):8,.0f} steps a CPU second")
    say(f"  PPO is {ratio(timed[1], timed[0])} times as fast")
    whole = median(timed[1])
    parts = Parts(recurrent)
    took = cpu_seconds(lambda: recurrent.learn(steps))
    told = ", ".join(f"{part} {seconds / took:.0%}" for part, seconds in parts.seconds.items())
    say(f"  of RecurrentPPO's time: {told}")
    length = max(1, round(sequence_length(recurrent)))
    for words, chain in (("no step waiting", 1), (f"in chains of {length}", length)):
        bare = median(rounds_of([products(shape, width, chain)], rounds)[0])
        say(f"  the LSTMs' products alone, {words}: {bare / whole:.0%} of it, so at most "
            f"{whole / bare:.1f} times faster")  # fmt: skip


if __name__ == "__main__":
    main()

"""What Python gives to a kernel is refused in a sentence where compiled code would read beyond."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab import SpecPPO
from ppo_lab.compiled.rows import encode
from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.acting import act, predict_values
from ppo_lab.kernels.advantages import estimate_advantages
from ppo_lab.kernels.boundary import check_array, check_indices
from ppo_lab.kernels.divergence import rollout_kl
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.losses import Memory
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.typing import Rollout, Trajectories
from ppo_lab.kernels.update import Adam, update
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.worlds.rollout import RolloutArrays

LAYOUT = Layout(3, (4,), (4,), "tanh", "multi_categorical", (2, 3))
N = 6


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def arguments() -> dict[str, Any]:
    """Right ones of every entry, by name."""
    return {
        "params": floats(LAYOUT.n_parameters),
        "observations": floats(N, 3),
        "noise": np.zeros((N, 2)),
        "work": LAYOUT.workspace(2),
        "actions": np.zeros((N, 2), np.int64),
        "values": floats(N),
        "log_probs": floats(N),
        "advantages": floats(N),
        "returns": floats(N),
        "permutations": np.arange(N)[None],
        "batch_size": 3,
        "memory": Memory.of(LAYOUT, 3),
    }


def acting(a: dict[str, Any]) -> None:
    names = ("observations", "noise", "work", "actions", "values", "log_probs")
    act(a["params"], LAYOUT, *(a[name] for name in names))


def judging(a: dict[str, Any]) -> None:
    predict_values(a["params"], LAYOUT, a["observations"], a["work"], a["values"])


def measuring(a: dict[str, Any]) -> None:
    names = ("observations", "actions", "log_probs", "work")
    rollout_kl(a["params"], LAYOUT, *(a[name] for name in names))


def updating(a: dict[str, Any]) -> None:
    names = ("observations", "actions", "values", "log_probs", "advantages", "returns")
    update(
        LAYOUT,
        a["params"],
        Adam.zeros(LAYOUT),
        Rollout(*(a[name] for name in names)),
        a["permutations"],
        a["batch_size"],
        UpdateSettings(),
        AdamSettings(),
        AdamSettings(),
        a["memory"],
    )


ENTRIES: dict[Callable[[dict[str, Any]], None], tuple[str, ...]] = {
    acting: ("params", "observations", "noise", "work", "actions", "values", "log_probs"),
    judging: ("params", "observations", "work", "values"),
    measuring: ("params", "observations", "actions", "log_probs", "work"),
    updating: ("params", "observations", "actions", "values", "log_probs", "advantages"),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_array_of_another_shape_type_or_order_is_refused(
    entry: Callable[[dict[str, Any]], None],
) -> None:
    entry(arguments())
    for name in ENTRIES[entry]:
        right = arguments()[name]
        wide = np.repeat(right, 2, axis=-1)[..., ::2]  # the same numbers, not one after the other
        for wrong in (right.astype(np.float16), wide, right[:1], right.tolist()):
            with pytest.raises(ArgumentError, match=r"(work|the kernels take C-contiguous)"):
                entry(arguments() | {name: wrong})


@pytest.mark.parametrize("entry", [measuring, updating])
@pytest.mark.parametrize(("column", "wrong", "highest"), [(0, 2, 1), (1, -1, 2), (1, 3, 2)])
def test_an_action_that_there_is_not_is_refused(
    entry: Callable[[dict[str, Any]], None], column: int, wrong: int, highest: int
) -> None:
    given = arguments()
    given["actions"][4, column] = wrong
    with pytest.raises(ArgumentError, match=f"actions holds {wrong}: .* from 0 to {highest}"):
        entry(given)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"permutations": np.array([[0, 1, 2, 3, 4, 6]])}, "permutations holds 6"),
        ({"permutations": np.array([[0, 1, 2, 3, 4, -1]])}, "permutations holds -1"),
        ({"permutations": np.zeros((1, N - 1), np.int64)}, "permutations is int64 of shape"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"memory": Memory.of(Layout(3, (2,), (4,), "tanh", "categorical", (2,)), 3)}, "memory"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_order_or_a_memory_of_something_else_is_refused(
    wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        updating(arguments() | wrong)


def test_a_memory_with_room_for_fewer_actions_than_its_workspace_is_refused() -> None:
    small = Memory.of(LAYOUT, 1)
    with pytest.raises(ArgumentError, match=r"memory\.actions"):
        updating(
            arguments()
            | {"memory": small._replace(work=LAYOUT.workspace(8), actions=small.actions[:1])}
        )


@pytest.mark.parametrize("estimator", ["gae", "mc", "td0", "nstep"])
def test_estimators_refuse_tables_that_do_not_fit(estimator: Any) -> None:
    table, row = floats(4, 2), floats(2)
    right = Trajectories(table, table, row, table, row)

    def estimate(trajectories: Trajectories, advantages: np.ndarray, returns: np.ndarray) -> None:
        estimate_advantages(estimator, trajectories, 0.9, 0.9, 3, advantages, returns)

    estimate(right, floats(4, 2), floats(4, 2))
    for name, array in right._asdict().items():
        wrong = floats(1, 2) if array is table else floats(1)
        with pytest.raises(ArgumentError, match="of shape"):
            estimate(right._replace(**{name: wrong}), floats(4, 2), floats(4, 2))
    with pytest.raises(ArgumentError, match="advantages is float32"):
        estimate(right, floats(3, 2), floats(4, 2))
    with pytest.raises(ArgumentError, match="returns is float32"):
        estimate(right, floats(4, 2), floats(3, 2))


def test_few_and_many_indices_are_checked_alike() -> None:
    for size in (1, 16, 17, 500):
        indices = np.zeros(size, np.int64)
        indices[-1] = 4
        check_indices("numbers", indices, 5)
        for wrong in (-1, 5, -(2**63)):
            indices[-1] = wrong
            with pytest.raises(ArgumentError, match=f"numbers holds {wrong}: .* 0 to 4"):
                check_indices("numbers", indices, 5)


def test_a_read_only_array_is_not_written() -> None:
    array = floats(3)
    array.flags.writeable = False
    check_array("values", array, (3,))
    with pytest.raises(ArgumentError, match="read-only"):
        check_array("values", array, (3,), written=True)


@pytest.mark.parametrize("wrong", [-1, 5])
def test_a_number_that_is_no_observation_of_a_discrete_space_is_refused(wrong: int) -> None:
    """SB3 raises too: torch's one-hot has classes from 0 to n − 1."""
    with pytest.raises(ArgumentError, match=f"observations holds {wrong}: .* 0 to 4"):
        encode(np.array([0, wrong]), spaces.Discrete(5))


def test_observations_of_another_shape_are_refused_and_one_dimension_more_is_not() -> None:
    box = spaces.Box(-1, 1, (2, 3))
    assert encode(floats(4, 2, 3), box).shape == encode(floats(4, 1, 2, 3), box).shape == (4, 6)
    for shape in ((4,), (4, 6), (4, 3, 2), (4, 2, 2)):
        with pytest.raises(ArgumentError, match="an observation of shape"):
            encode(floats(*shape), box)
    with pytest.raises(ArgumentError, match="an observation of shape"):
        encode(np.zeros((2, 2), np.int64), spaces.Discrete(5))


def collected(env: str) -> SpecPPO:
    model = SpecPPO(
        "MlpPolicy", make_vec_env(env, 2, seed=0), n_steps=16, batch_size=8, backend="compiled"
    )
    model._setup_learn(1000)
    model.collect_rollouts(model.env, model._init_callback(None), model.rollout_buffer, 16)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize(
    ("env", "array", "wrong"),
    [("CartPole-v1", "actions", 2), ("FrozenLake-v1", "observations", 16)],
)
def test_a_buffer_that_was_spoiled_is_not_learned_from(env: str, array: str, wrong: int) -> None:
    for number in (wrong, -1):
        model = collected(env)
        getattr(model.rollout_buffer, array).reshape(-1)[3] = number
        before = model.policy.action_net.weight.clone()
        with pytest.raises(ArgumentError, match=f"{array} holds {number}"):
            model.train()
        assert (model.policy.action_net.weight == before).all()


def test_a_rollout_that_is_not_full_is_not_learned_from() -> None:
    model = collected("CartPole-v1")
    model.rollout_buffer.full = False
    with pytest.raises(ArgumentError, match="an update needs them all"):  # SB3 asserts it
        model.train()


def test_numbers_of_another_type_in_a_buffer_are_learned_from_as_they_are() -> None:
    single, double = (collected("CartPole-v1") for _ in range(2))
    double.set_parameters(single.get_parameters())
    double.rollout_buffer = copy.deepcopy(single.rollout_buffer)
    double.rollout_buffer.advantages = double.rollout_buffer.advantages.astype(np.float64)
    for model in (single, double):
        np.random.seed(0)  # noqa: NPY002
        model.train()
    weights = [model.policy.action_net.weight for model in (single, double)]
    assert (weights[0] == weights[1]).all()


def test_a_compiled_environment_refuses_a_policy_of_other_spaces() -> None:
    env = CompiledVecEnv("CartPole-v1", 2, max_episode_steps=10)
    right = Layout(4, (5,), (5,), "tanh", "categorical", (2,))
    env.reset()
    for wrong in (
        Layout(3, (5,), (5,), "tanh", "categorical", (2,)),
        Layout(4, (5,), (5,), "tanh", "categorical", (3,)),
        Layout(4, (5,), (5,), "tanh", "gaussian", (2,)),
    ):
        with pytest.raises(ArgumentError, match="no layout for observations"):
            env.evaluate(wrong, floats(wrong.n_parameters), 2)
    with pytest.raises(ArgumentError, match="params is"):
        env.evaluate(right, floats(right.n_parameters - 1), 2)
    with pytest.raises(ArgumentError, match="n_episodes=0"):
        env.evaluate(right, floats(right.n_parameters), 0)
    table = floats(3, 2)
    tables = [*[table] * 4, floats(3, 2, 0)]
    arrays = RolloutArrays(floats(3, 2, 4), np.zeros((3, 2, 1), np.int64), *tables)
    params, starts, noise = floats(right.n_parameters), np.ones(2), np.zeros((3, 2, 1))
    for changed in (
        {"values": floats(2, 2)},
        {"observations": floats(3, 2, 3)},
        {"action_masks": floats(3, 2, 2)},
    ):
        with pytest.raises(ArgumentError, match="C-contiguous"):
            env.rollout(right, params, arrays._replace(**changed), starts, noise, 0.9)
    for given in ((np.ones(3), noise), (starts, noise[:2])):
        with pytest.raises(ArgumentError, match="C-contiguous"):
            env.rollout(right, params, arrays, *given, 0.9)


def test_sizes_that_are_no_whole_numbers_make_no_layout() -> None:
    with pytest.raises(ArgumentError, match="must be a whole number"):
        Layout(3, (4.0,), (4,), "tanh", "categorical", (2,))  # type: ignore[arg-type]

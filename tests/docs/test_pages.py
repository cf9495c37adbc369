"""What the pages name exists: functions, tests, arguments, metrics."""

import ast
import importlib
import inspect
import re
from functools import reduce
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.policies import ActorCriticPolicy

from docs import spellings
from ppo_lab import CoverageCallback, Curriculum, SpecPPO

DOCS = Path(__file__).parents[2] / "docs"
TESTS = Path(__file__).parents[1] / "ppo_lab"


def rows(page: str) -> list[list[str]]:
    """The cells of a page's first table, without its head."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_function_that_the_specification_page_names_exists() -> None:
    named = [name for row in rows("specification.md") for name in code(row[2])]
    assert len(named) > 30
    for name in named:
        parts = name.split(".")
        room = importlib.import_module(f"ppo_lab.{parts[0]}")
        if hasattr(room, "__path__"):
            room = importlib.import_module(f"ppo_lab.{parts[0]}.{parts[1]}")
            del parts[1]
        reduce(getattr, parts[1:], room)


def test_every_test_that_the_specification_page_names_exists() -> None:
    named = [name for row in rows("specification.md") for name in code(row[3])]
    assert len(named) > 40
    for name in named:
        file, test = name.split("::")
        tree = ast.parse((TESTS / f"{file}.py").read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert test in defined, name


def test_the_specification_page_has_every_item_of_sections_2_to_8() -> None:
    last_items = {2: 3, 3: 4, 4: 3, 5: 3, 6: 5, 7: 6, 8: 3}
    expected = {f"{s}.{i}" for s, last in last_items.items() for i in range(1, last + 1)}
    assert expected <= {row[0] for row in rows("specification.md")}


class _Names(KVWriter):
    """Collects the names that are logged."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        self.names |= set(key_values)

    def close(self) -> None:
        """Nothing to close."""


class _OneOptimiser(ActorCriticPolicy):
    pass


def test_the_metrics_page_defines_exactly_what_is_logged() -> None:
    writer = _Names()
    common: dict[str, Any] = {"n_steps": 64, "n_epochs": 1, "device": "cpu", "clip_range_vf": 1.0}
    for policy, env, kwargs in (
        ("MlpPolicy", "CartPole-v1", {"objective": "adaptive_kl"}),
        ("MlpPolicy", "CartPole-v1", {"normalize_value": True}),
        (_OneOptimiser, "Pendulum-v1", {}),
    ):
        model = SpecPPO(policy, make_vec_env(env, 1, seed=0), **common, **kwargs)  # type: ignore[arg-type]
        model.set_logger(Logger(None, [writer]))
        model.learn(256)
        model.logger.dump()
    relatives: dict[str, Any] = {"intrinsic_coef": 1.0, "cost_limit": 1.0}
    for env_id, kwargs, callback in (
        ("ppo_lab/CostCliffGrid-v0", relatives, CoverageCallback()),
        ("ppo_lab/FourRooms-v0", {}, Curriculum("overlay", [None, None], success_return=1.0)),
    ):
        env = make_vec_env(env_id, 4, seed=0)
        model = SpecPPO("MlpPolicy", env, **common, **kwargs)
        model.set_logger(Logger(None, [writer]))
        model.learn(1024, callback)
        model.logger.dump()
    documented = {name for row in rows("metrics.md") for name in code(row[0])}
    # The two that need TensorBoard and an environment that reports success.
    assert writer.names == documented - {"train/ratio", "rollout/success_rate"}


def _all_allowed() -> gym.Env[Any, Any]:
    return ActionMasker(gym.make("CartPole-v1"), lambda _: np.ones(2, np.bool_))


def test_the_ppo_page_shows_every_new_argument_in_an_example_that_works() -> None:
    documented = {code(row[0])[0]: code(row[1])[0] for row in rows("ppo.md")}
    parameters = inspect.signature(SpecPPO).parameters.values()
    new = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert set(documented) == new
    for name, example in documented.items():
        call = ast.parse(f"f({example})", mode="eval").body
        assert isinstance(call, ast.Call)
        arguments = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
        assert name in arguments
        SpecPPO("MlpPolicy", make_vec_env(_all_allowed, 1), n_steps=64, device="cpu", **arguments)


def test_the_commands_page_has_every_spelling_and_answer_of_the_table() -> None:
    text = spellings.PAGE.read_text(encoding="utf-8")
    assert spellings.page(text) == text, "python -m docs.spellings writes it anew"


def test_the_page_on_many_machines_shows_the_script_that_the_tests_run() -> None:
    script = (DOCS / "examples" / "array.sh").read_text(encoding="utf-8")
    assert f"```bash\n{script}```" in (DOCS / "many_machines.md").read_text(encoding="utf-8")

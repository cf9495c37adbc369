"""The smaller budgets with which the tests run the documentation's snippets.

A command runs as it stands with a few more flags behind it (argparse takes the last of a flag
given twice); ``learn`` and ``evaluate_policy`` in Python blocks get at most the numbers below, and
so train one whole rollout. Nothing else is changed.
"""

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from docs.snippets import HOME

LEARN_STEPS = 256
EVALUATION_EPISODES = 2

SMALLER = {
    "ppo_lab.train": "--timesteps 256 --eval-episodes 2",
    "ppo_lab.evaluate": "--episodes 2",
    "ppo_lab.compare": "--timesteps 256 --seeds 1 --episodes 2 --points 2 --jobs 1",
    "ppo_lab.tune": "--trials 2 --finalists 1 --replicas 1 --seeds 1 --timesteps 504 --jobs 1",
    "ppo_lab.report": "",
    "rl_zoo3.train": "--n-timesteps 256 --eval-episodes 2",
    "ppo_lab.zoo": "",
}
NEEDS = {"rl_zoo3.train": "rl_zoo3", "ppo_lab.zoo": "rl_zoo3"}
"""Programs that an extra brings."""
NOT_HERE = {
    "pip": "it would change the environment; the extras that it names are looked up instead",
    "tests": "it is what runs this",
}
RUN_ELSEWHERE = {
    "docs/tutorial.md": "tests/docs/test_notebook.py",
    "docs/zoo.md": "tests/ppo_lab/test_zoo.py",
}
"""Pages whose commands have a test of their own."""


def smaller(words: list[str]) -> list[str] | None:
    """A command line with its smaller budget; None if it is not run here, for a stated reason.

    Raises:
        ValueError: no budget is known for it, or it names an extra that does not exist.
    """
    if words[0] != "python":
        raise ValueError(f"what does {words[0]!r} do? Say '<!-- not run: REASON -->' above it")
    if words[1] != "-m":
        return words
    program = words[2]
    if program in NOT_HERE:
        check_extras(words)
        return None
    if program not in SMALLER:
        raise ValueError(f"no smaller budget for {program!r} in tests/docs/budgets.py")
    if program in NEEDS and importlib.util.find_spec(NEEDS[program]) is None:
        return None
    return [*words, *SMALLER[program].split()]


def check_extras(words: list[str]) -> None:
    """Raise ValueError for an extra of ours that pyproject.toml does not have."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"(?:^|\s)(?:ppo-lab|\.)\[([\w,-]+)\]", " ".join(words))
    for extra in ",".join(named).split(",") if named else ():
        if extra not in project["optional-dependencies"]:
            raise ValueError(f"pyproject.toml has no extra {extra!r}")


@contextmanager
def learning_little() -> Iterator[None]:
    """SB3's ``learn`` and ``evaluate_policy`` with at most the numbers above."""
    from stable_baselines3.common import evaluation
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    def short(learn: Any) -> Any:
        def learn_little(self: Any, total_timesteps: int, *more: Any, **named: Any) -> Any:
            return learn(self, min(total_timesteps, LEARN_STEPS), *more, **named)

        return learn_little

    evaluate = evaluation.evaluate_policy

    def evaluate_little(*arguments: Any, n_eval_episodes: int = 10, **named: Any) -> Any:
        episodes = min(n_eval_episodes, EVALUATION_EPISODES)
        return evaluate(*arguments, n_eval_episodes=episodes, **named)

    with ExitStack() as stack:
        for owner in (OnPolicyAlgorithm, OffPolicyAlgorithm):
            stack.enter_context(mock.patch.object(owner, "learn", short(owner.learn)))
        stack.enter_context(mock.patch.object(evaluation, "evaluate_policy", evaluate_little))
        yield

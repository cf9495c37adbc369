"""The scores that normalise an environment's returns (design: honest comparisons).

Stated ones cost nothing: exact where the environment is a finite MDP, and the report's table of
Gymnasium's environments. Where neither knows a score, the random policy is played: in a process of
its own, so that nothing an environment does ends the command, and for a bounded time.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from envs.finite import finite_task
from envs.planning import optimal_return, random_return
from ppo_lab.runs.games import finite_game
from ppo_lab.vec_env.making import make_checked
from ppo_lab.vec_env.random_actions import forbids_actions, random_action

__all__ = [
    "ReferenceScores",
    "as_record",
    "known_scale",
    "listed_reference",
    "measured_reference",
    "play_randomly",
    "reference_scores",
    "stated_reference",
    "stored_reference",
]

Wrapper = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]

RANDOM_EPISODES = 100
"""Episodes behind a random policy's score where dynamic programming cannot give it."""
RANDOM_STEPS = 10_000
"""Where such an episode is given up, in an environment without an end."""
RANDOM_SECONDS = 20.0
"""What playing them may take; then those that have ended count."""
START_SECONDS = 60.0
"""What starting the process, importing and making the environment may take on top."""


@dataclass(frozen=True)
class ReferenceScores:
    """The two returns that a score is normalised by: (score − low)/(high − low).

    Attributes:
        low: the uniformly random policy's expected return.
        high: the optimum, or a stated good score; None where nobody states one (a report then
            takes the best mean score in it).
        source: where the two come from, in words.
    """

    low: float
    high: float | None
    source: str


def as_record(reference: ReferenceScores | None) -> dict[str, Any] | None:
    """As ``run.json`` holds it."""
    return None if reference is None else asdict(reference)


def reference_scores(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    say: Callable[[str], None] = print,
    wrapper: Wrapper | None = None,
) -> ReferenceScores | None:
    """Stated, or else measured.

    Args:
        env_id: Gymnasium's id.
        env_kwargs: for ``gymnasium.make``.
        say: told in a line that the random policy is being played, and what came in the way.
        wrapper: of :func:`measured_reference`.

    Returns:
        None where nothing is stated and the random policy cannot be played.

    Raises:
        ArgumentError: the environment cannot be made.
    """
    stated = stated_reference(env_id, env_kwargs)
    return stated or measured_reference(env_id, env_kwargs, say, wrapper)


def known_scale(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    say: Callable[[str], None] = print,
    wrapper: Wrapper | None = None,
) -> ReferenceScores | None:
    """What a single score can be normalised by: a low and a high score.

    Nothing is measured where nobody states a high one. Arguments and errors are those of
    :func:`reference_scores`.
    """
    scale = stated_reference(env_id, env_kwargs)
    if scale is None and _spec(env_id, env_kwargs).reward_threshold is not None:
        scale = measured_reference(env_id, env_kwargs, say, wrapper)
    return scale


def stored_reference(file: Path, entry: str = "reference") -> ReferenceScores | None:
    """What a JSON file says under a name, such as ``run.json``; None: nothing usable."""
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))[entry]
        low, high = float(stated["low"]), stated["high"]
        reference = ReferenceScores(
            low, None if high is None else float(high), str(stated["source"])
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    usable = np.isfinite(low) and (reference.high is None or low < reference.high < np.inf)
    return reference if usable else None


def stated_reference(env_id: str, env_kwargs: Mapping[str, Any]) -> ReferenceScores | None:
    """What is known without playing.

    Exact where the environment is a finite MDP with a time limit (:func:`envs.finite.finite_task`):
    both by dynamic programming over that horizon. Else the report's table, which knows Gymnasium's
    environments with default arguments.

    Raises:
        ArgumentError: the environment cannot be made.
    """
    with closing(make_checked(env_id, env_kwargs)) as env:
        task, game = finite_task(env), finite_game(env)
    finite = game if task is None else (task.mdp, task.horizon)
    if finite is not None:
        mdp, horizon = finite
        return ReferenceScores(
            low=random_return(mdp, horizon),
            high=optimal_return(mdp, horizon),
            source=f"exact: random policy and optimum over {horizon} steps by dynamic programming",
        )
    return listed_reference(env_id, env_kwargs)


def listed_reference(env_id: str, env_kwargs: Mapping[str, Any]) -> ReferenceScores | None:
    """What the report's table has; it knows environments with default arguments alone."""
    from reports.logs.references import known_references

    listed = None if env_kwargs else known_references().get(env_id.rpartition(":")[2])
    return None if listed is None else ReferenceScores(listed.low, listed.high, listed.source)


def measured_reference(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    say: Callable[[str], None] = print,
    wrapper: Wrapper | None = None,
) -> ReferenceScores | None:
    """The random policy, played; the high score is the environment's ``reward_threshold``.

    Where the environment says which actions are possible (``action_masks``), each of those is
    equally likely, and no other is taken.

    Args:
        env_id: Gymnasium's id.
        env_kwargs: for ``gymnasium.make``.
        say: told of it in a line before, and in another if it fails.
        wrapper: what lies around the environment where runs are scored. The returns are the
            environment's own within it, as SB3's ``Monitor`` counts them in a run.

    Returns:
        None where no random episode could be played to its end: the environment failed, hung, paid
        what is not finite, or killed its process.

    Raises:
        ArgumentError: the environment cannot be made.
    """
    say(
        f"Playing {RANDOM_EPISODES} random episodes of {env_id}, for the 0 of normalised scores "
        f"(at most {RANDOM_SECONDS:.0f} s)"
    )
    spec = _spec(env_id, env_kwargs)
    played = _played_apart(spec, wrapper)
    if isinstance(played, str):
        say(f"! no random policy's score for {env_id}: {played}")
        return None
    low, episodes = played
    source = f"low: random policy over {episodes} episodes"
    if episodes < RANDOM_EPISODES:
        source += f", as many as ended within {RANDOM_SECONDS:.0f} s"
    high = spec.reward_threshold
    if high is not None and high > low:
        return ReferenceScores(low, float(high), f"{source}; high: Gymnasium's reward_threshold")
    return ReferenceScores(low, None, source)


def _spec(env_id: str, env_kwargs: Mapping[str, Any]) -> EnvSpec:
    """With the keyword arguments in it."""
    with closing(make_checked(env_id, env_kwargs)) as env:
        assert env.spec is not None  # gymnasium.make gives one
        return env.spec


# ------------------------------------------------------------------ in a process of its own


def _played_apart(spec: EnvSpec, wrapper: Wrapper | None) -> tuple[float, int] | str:
    """The mean return and the number of the episodes behind it, or why there is none."""
    from loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(max_workers=1, timeout=START_SECONDS)
    try:
        started = executor.submit(_guarded, spec, RANDOM_SECONDS, wrapper)
        answer: tuple[float, int] | str = started.result(RANDOM_SECONDS + START_SECONDS)
    except TimeoutError:
        return f"it did not answer within {RANDOM_SECONDS + START_SECONDS:.0f} s"
    except Exception as error:
        # The process died, or what registers the environment cannot be sent to it.
        return f"its process failed ({type(error).__name__})"
    finally:
        executor.shutdown(wait=True, kill_workers=True)
    return answer


def _guarded(
    spec: EnvSpec, seconds: float, wrapper: Wrapper | None = None
) -> tuple[float, int] | str:
    """Play; whatever the environment raises is a reason."""
    # Whoever waits may have been killed: this process ends by itself.
    last_resort = threading.Timer(seconds + START_SECONDS, os._exit, (1,))
    last_resort.daemon = True
    last_resort.start()
    try:
        with closing(gym.make(spec, disable_env_checker=True)) as env:
            return play_randomly(env, seconds, wrapper)
    except BaseException as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    finally:
        last_resort.cancel()


class TrueReturns(gym.Wrapper[Any, Any, Any, Any]):
    """Adds up an episode's rewards within the wrappers around it, as SB3's ``Monitor`` does.

    Attributes:
        total: of the episode so far.
        over: whether the environment itself has ended it.
    """

    total = 0.0
    over = False

    def reset(self, **kwargs: Any) -> Any:
        """Begin an episode; one under way is forgotten."""
        self.total, self.over = 0.0, False
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        """Take a step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.total += float(reward)
        self.over = bool(terminated or truncated)
        return observation, reward, terminated, truncated, info


def play_randomly(
    env: gym.Env[Any, Any], seconds: float, wrapper: Wrapper | None = None
) -> tuple[float, int] | str:
    """Mean return of ``RANDOM_EPISODES`` uniformly random episodes, seeds fixed.

    Args:
        env: played from its own reset on.
        seconds: after which the episode under way is dropped, and no other begun.
        wrapper: put around it; the returns are those within.

    Returns:
        The mean and how many episodes stand behind it, or why there is none.
    """
    counted = TrueReturns(env)
    env = counted if wrapper is None else wrapper(counted)
    env.action_space.seed(0)
    masked = forbids_actions(env)
    returns: list[float] = []
    deadline = time.monotonic() + seconds
    for episode in range(RANDOM_EPISODES):
        env.reset(seed=episode)
        for _ in range(RANDOM_STEPS):
            _, _, terminated, truncated, _ = env.step(random_action(env, masked))
            if counted.over or time.monotonic() > deadline:
                break
            if terminated or truncated:  # a wrapper's ending, such as that of a life
                env.reset()
        if not counted.over and time.monotonic() > deadline:
            break
        returns.append(counted.total)
    if not returns:
        return f"no random episode ended within {seconds:.0f} s"
    mean = float(np.mean(returns))
    return (mean, len(returns)) if np.isfinite(mean) else f"it pays a random policy {mean}"

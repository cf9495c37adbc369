"""MPE's ``simple_spread_v3`` as mpe2 has it: when ``spread`` restates it, and how it follows.

The source that was compared, bit for bit, is known by its hash; another version of mpe2 or of
PettingZoo's wrappers is stepped in Python until it has been compared too.
"""

import hashlib
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from envs.mdp import FloatArray
from ppo_lab.worlds.alterations import PLAIN_NUMBERS, why_constants_differ
from ppo_lab.worlds.as_written import replaced_on
from ppo_lab.worlds.game_stepping import RestatedGame, Shown
from ppo_lab.worlds.spread import AGENT, CONSTANTS, LANDMARK, Spread, log_add_exps

__all__ = ["COMPARED", "SPREAD", "is_spread", "makers"]

HOME = "mpe2.simple_spread.simple_spread"
WRAPPERS = "pettingzoo.utils.wrappers"
COMPARED = {
    HOME: "64b46b03533ae82a",
    "mpe2._mpe_utils.core": "5578e48334bff321",
    "mpe2._mpe_utils.scenario": "db5d9a464dffa4fe",
    "mpe2._mpe_utils.simple_env": "ac5753a926e2dde4",
    "pettingzoo.utils.agent_selector": "235479995e337239",
    "pettingzoo.utils.conversions": "7f5a413fd70dbfe4",
    "pettingzoo.utils.env": "9a89a8515341215f",
    f"{WRAPPERS}.base": "5e56310962fffabc",
    f"{WRAPPERS}.assert_out_of_bounds": "9ddb020b270ceda8",
    f"{WRAPPERS}.clip_out_of_bounds": "21a95c34badc3bda",
    f"{WRAPPERS}.order_enforcing": "9f3ccf5460fb636a",
}
"""The first digits of the SHA-256 of each file: mpe2 1.1.1's and PettingZoo 1.27.0's."""
UNSERVED = {
    "curriculum": False,
    "num_agent_neighbors": None,
    "num_landmark_neighbors": None,
}
"""Arguments of the scenario that the world does not restate, where they are not used."""


def makers() -> list[Any]:
    """What makes the game, as far as mpe2 is imported."""
    module = sys.modules.get(HOME)
    return [] if module is None else [vars(module).get("parallel_env")]


def is_spread(env: Any) -> bool:
    """Whether a game is ``simple_spread_v3``, in whatever state."""
    module = sys.modules.get(HOME)
    kind = type(getattr(env, "unwrapped", None))
    return module is not None and kind is vars(module).get("raw_env")


def _layers(env: Any) -> list[Any]:
    """The parallel form, PettingZoo's wrappers and the environment itself."""
    layers = [env]
    for name in ("aec_env", "env", "env"):
        layers.append(vars(layers[-1]).get(name))
    return layers


def _parts(raw: Any) -> list[Any]:
    """The objects of mpe2's own that a game is made of."""
    things = [*raw.world.agents, *raw.world.landmarks]
    inner = [thing.state for thing in things] + [agent.action for agent in raw.world.agents]
    return [raw.scenario, raw.world, *things, *inner]


def _why_not(env: Any) -> str | None:
    layers = _layers(env)
    names = [f"{type(layer).__module__}.{type(layer).__qualname__}" for layer in layers]
    continuous = bool(getattr(layers[-1], "continuous_actions", False))
    bounds = "clip_out_of_bounds.Clip" if continuous else "assert_out_of_bounds.Assert"
    expected = [
        "pettingzoo.utils.conversions.aec_to_parallel_wrapper",
        f"{WRAPPERS}.order_enforcing.OrderEnforcingWrapper",
        f"{WRAPPERS}.{bounds}OutOfBoundsWrapper",
        f"{HOME}.raw_env",
    ]
    if names != expected:
        return f"it is made of {', '.join(names)}"
    raw = layers[-1]
    if raw.render_mode is not None:
        return f"it is made with render_mode={raw.render_mode!r}"
    return why_other_source() or _why_replaced([*layers, *_parts(raw)]) or _why_argument(raw)


def _why_replaced(things: Sequence[Any]) -> str | None:
    for thing in things:
        if (name := replaced_on(thing)) is not None:
            return f"{name} of this {type(thing).__name__} was replaced"
    return None


def _why_argument(raw: Any) -> str | None:
    scenario, world = raw.scenario, raw.world
    for name, unused in UNSERVED.items():
        if getattr(scenario, name) != unused:
            return f"no compiled form of {name}={getattr(scenario, name)!r} exists"
    if raw.benchmark_data:
        return "no compiled form of benchmark_data exists"
    if type(raw.local_ratio) not in PLAIN_NUMBERS or type(raw.max_cycles) is not int:
        return f"local_ratio is {raw.local_ratio!r} and max_cycles {raw.max_cycles!r}"
    reasons = [why_constants_differ(world, CONSTANTS)]
    reasons += [why_constants_differ(agent, AGENT) for agent in world.agents]
    reasons += [why_constants_differ(landmark, LANDMARK) for landmark in world.landmarks]
    return next((reason for reason in reasons if reason is not None), None)


@cache
def why_other_source() -> str | None:
    for module, digest in COMPARED.items():
        if source_digest(module) != digest:
            package = module.split(".")[0]
            return f"the source of {module} is another than was compared: {package} has changed"
    depths = np.linspace(-800.0, 50.0, 20_001)
    if not np.array_equal(log_add_exps(depths), np.logaddexp(0.0, depths)):
        return "NumPy's logaddexp has other last bits on this machine than the C library's"
    return None


def source_digest(module: str) -> str | None:
    """The first digits of the SHA-256 of a module's file, its line ends as on Linux."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    return hashlib.sha256(Path(spec.origin).read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:16]


def _world(env: Any, shown: Shown) -> Spread:
    raw = env.unwrapped
    terminates = bool(raw.scenario.terminate_on_success)
    return Spread(float(raw.local_ratio), raw.max_cycles, terminates, shown)


def _read(env: Any) -> FloatArray:
    world = env.unwrapped.world
    rows = [agent.state.p_pos for agent in world.agents]
    rows += [agent.state.p_vel for agent in world.agents]
    rows += [landmark.state.p_pos for landmark in world.landmarks]
    return np.concatenate(rows)


def _write(env: Any, state: FloatArray, n_steps: int) -> None:
    raw = env.unwrapped
    world, scenario = raw.world, raw.scenario
    rows = state.reshape(-1, 2).copy()
    n_agents = len(world.agents)
    for index, agent in enumerate(world.agents):
        agent.state.p_pos, agent.state.p_vel = rows[index].copy(), rows[n_agents + index].copy()
    for index, landmark in enumerate(world.landmarks):
        landmark.state.p_pos = rows[2 * n_agents + index].copy()
    raw.steps = n_steps
    together = float(scenario.global_reward(world))
    for agent in world.agents:
        own = float(scenario.reward(agent, world))
        paid = together * (1 - raw.local_ratio) + own * raw.local_ratio if n_steps else 0.0
        raw.rewards[agent.name] = raw._cumulative_rewards[agent.name] = paid


SPREAD = RestatedGame(
    modules=tuple(COMPARED),
    layers=lambda env: [*_layers(env), *_parts(env.unwrapped)],
    why_not=_why_not,
    world=_world,
    read=_read,
    write=_write,
    generator=lambda env: env.unwrapped.np_random,
)

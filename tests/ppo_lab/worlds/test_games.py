"""Compiled games where the package that they restate is missing: NumPy's own arithmetic judges."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ppo_lab.worlds.game_stepping import Shown, mean, step_games
from ppo_lab.worlds.randomness import new_stream
from ppo_lab.worlds.spread import Spread, log_add_exps

CHECKS = ("check_simple_spread", "check_contacts", "check_means")


def test_games_as_written_follow_their_equations() -> None:
    """Without the compiler, whose work takes longer than all else here."""
    calls = "; ".join(f"here.{name}()" for name in CHECKS)
    variables = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    check = f"import {__name__} as here; {calls}"
    subprocess.run([sys.executable, "-W", "error", "-c", check], env=variables, check=True)


@pytest.mark.slow
def test_games_as_compiled_follow_their_equations() -> None:
    check_simple_spread()
    check_contacts()


def check_simple_spread() -> None:
    """Lowe et al. 2017: points of mass 1, dt 0.1, damping ¼, contacts of 100 · softplus; NumPy."""
    rng, n_agents = np.random.default_rng(0), 3
    world = Spread(
        0.3, 10**6, terminates=False, shown=Shown(n_agents, 6 * n_agents, 0, 0, np.zeros((1, 2)))
    )
    # Close together, so that agents touch.
    state = np.concatenate(
        [
            rng.uniform(-0.3, 0.3, 2 * n_agents),
            np.zeros(2 * n_agents),
            rng.uniform(-1, 1, 2 * n_agents),
        ]
    )
    places, speeds, marks = (part.reshape(-1, 2).copy() for part in np.split(state, 3))
    states, episodes, streams = state[None].copy(), np.zeros((n_agents, 2)), new_stream(0)[None]
    seen, rewards = np.zeros((n_agents, 6 * n_agents), np.float32), np.zeros(n_agents, np.float32)
    dones, endings = np.zeros(n_agents, np.bool_), np.zeros((n_agents, 3))
    pushes = 5.0 * np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])
    n_touched, total = 0, 0.0
    for _ in range(60):
        moves = rng.integers(5, size=(n_agents, 1))
        step_games(
            world, 0, states, episodes, streams, moves, seen, rewards, dones, endings, seen.copy()
        )
        forces = pushes[moves[:, 0]].astype(float)
        for i in range(n_agents):
            for j in range(n_agents):
                if i != j:
                    apart = places[i] - places[j]
                    distance = np.sqrt(np.sum(apart**2))
                    depth = np.logaddexp(0.0, (0.3 - distance) / 1e-3) * 1e-3
                    forces[i] += 100.0 * apart / distance * depth
        places += speeds * 0.1
        speeds = 0.75 * speeds + forces * 0.1
        between = np.linalg.norm(places[:, None] - places[None], axis=2)
        nearest = np.linalg.norm(places[:, None] - marks[None], axis=2).min(axis=0)
        touched = (between < 0.3).sum(axis=1) - 1
        n_touched += touched.sum()
        paid = -0.7 * nearest.sum() - 0.3 * touched
        total += paid.mean()
        np.testing.assert_allclose(rewards, paid, rtol=1e-6)
        others = [np.delete(places, i, axis=0) - places[i] for i in range(n_agents)]
        expected = [
            np.concatenate([speeds[i], places[i], (marks - places[i]).ravel(), others[i].ravel()])
            for i in range(n_agents)
        ]
        np.testing.assert_allclose(seen[:, : 4 * n_agents + 2], expected, atol=1e-6)
        assert not seen[:, 4 * n_agents + 2 :].any()
    assert n_touched > 10
    assert world.shown.teams[0, 0] == pytest.approx(total, rel=1e-9)


def check_contacts() -> None:
    """NumPy's logarithm, to the bit."""
    depths = np.concatenate([np.linspace(-800, 50, 3001), [0.0, -0.0, -745.2, 1e-300]])
    assert log_add_exps(depths).tobytes() == np.logaddexp(0.0, depths).tobytes()


def check_means() -> None:
    """A team's mean is NumPy's, to the bit."""
    rng = np.random.default_rng(0)
    for count in [*range(1, 27), 64, 127, 128]:
        rows = rng.normal(size=(40, count))
        assert [mean(row) for row in rows] == [row.mean() for row in rows]

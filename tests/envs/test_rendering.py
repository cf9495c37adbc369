"""Text, pictures and windows."""

import sys

import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled

from envs.cliffgrid import CliffGrid
from envs.crawler import Crawler
from envs.crawler_continuous import CrawlerContinuous
from envs.crawler_geometry import bucket_angles, tip_position
from envs.crawler_rendering import crawler_points
from envs.fourrooms import FourRooms
from envs.grid_rendering import INK, text_table
from envs.gridworld import GridWorld
from envs.observations import AGENT_COLOUR, LOSS_COLOUR, OPEN_COLOUR, WALL_COLOUR
from envs.planning import value_iteration
from envs.tabular import TabularEnv


@pytest.fixture(autouse=True)
def _no_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def centre(frame, row, column, side=96):
    """The colour in the middle of a cell."""
    return tuple(int(c) for c in frame[row * side + side // 2, column * side + side // 2])


def test_text_shows_the_map_and_the_agent():
    env = GridWorld(render_mode="ansi")
    assert env.render() == "...+\n.#.-\nS...\n"
    env.reset(seed=0)
    env.step(0)
    assert env.render() == "...+\n@#.-\nS...\n"


def test_without_a_mode_nothing_is_rendered():
    env = GridWorld()
    env.reset(seed=0)
    assert env.render() is None


def test_any_finite_mdp_renders_as_text():
    env = TabularEnv(GridWorld().mdp, render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "state 7 of 11\n"


def test_a_picture_shows_the_agent_where_it_is():
    env = GridWorld(render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert (frame.shape, frame.dtype) == ((288, 384, 3), np.uint8)
    assert centre(frame, 2, 0) == AGENT_COLOUR
    assert centre(frame, 1, 1) == WALL_COLOUR
    env.step(0)
    moved = env.render()
    assert centre(moved, 1, 0) == AGENT_COLOUR
    assert centre(moved, 2, 0) == OPEN_COLOUR
    corner = moved[96 + 5, 3 * 96 + 5]  # of the −1 exit, clear of its number
    assert tuple(corner) == LOSS_COLOUR


def test_values_shade_the_cells_green_and_red():
    env = GridWorld(render_mode="rgb_array")
    env.reset(seed=0)
    values = np.zeros(11)
    values[0], values[1] = 2.0, -2.0  # a map's extremes have the full shade
    env.draw(values=values)
    frame = env.render()
    green, red, white = (frame[10, column * 96 + 10] for column in (0, 1, 2))
    assert green[1] > green[0] + 100
    assert red[0] > red[1] + 100
    assert np.ptp(white.astype(int)) <= 10


def test_arrows_point_where_the_policy_goes():
    env = GridWorld(render_mode="rgb_array")
    env.reset(seed=0)
    policy = np.zeros(11, int)
    for action, (down, right) in enumerate([(-38, 0), (0, 38), (38, 0), (0, -38)]):
        policy[0] = action
        env.draw(policy=policy)
        frame = env.render()
        inked = [
            tuple(frame[48 + d, 48 + r]) == INK for d, r in [(-38, 0), (0, 38), (38, 0), (0, -38)]
        ]
        assert inked == [a == action for a in range(4)], (down, right)
    # A stochastic policy has an arrow for each move it makes.
    chances = np.full((11, 4), 0.25)
    chances[0] = [0.5, 0.5, 0.0, 0.0]
    env.draw(policy=chances)
    frame = env.render()
    assert tuple(frame[6, 48]) == INK
    assert tuple(frame[48, 96 - 6]) == INK
    inked = (frame[:96, :96] == INK).all(axis=2)
    assert not inked[:, :30].any()  # none to the left
    assert not inked[66:, :].any()  # none down


def test_q_values_colour_the_side_of_their_action():
    env = GridWorld(render_mode="rgb_array")
    env.reset(seed=0)
    q_values = np.zeros((11, 4))
    q_values[0] = [1.0, -1.0, 0.0, 0.0]
    env.draw(q_values=q_values)
    frame = env.render().astype(int)
    up, right, down = frame[24, 40], frame[40, 96 - 24], frame[96 - 24, 40]
    assert up[1] > up[0] + 100
    assert right[0] > right[1] + 100
    assert np.ptp(down) <= 10


def test_drawing_nothing_clears_the_overlay():
    env = GridWorld(render_mode="rgb_array")
    env.reset(seed=0)
    plain = env.render()
    env.draw(values=np.ones(11))
    assert (env.render() != plain).any()
    env.draw()
    np.testing.assert_array_equal(env.render(), plain)


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"values": np.zeros(10)}, r"values has shape \(10,\); this map needs \(11,\)"),
        ({"q_values": np.zeros((11, 3))}, r"q_values has shape \(11, 3\)"),
        ({"policy": np.zeros((11, 2))}, r"policy has shape .* needs \(11,\) or \(11, 4\)"),
    ],
)
def test_an_overlay_of_another_map_is_refused(overlay, message):
    with pytest.raises(ValueError, match=message):
        GridWorld().draw(**overlay)


def test_a_table_of_values_and_arrows_is_laid_out_as_the_map():
    env = GridWorld(noise=0.2)
    values, policy = value_iteration(env.mdp, 0.9)
    assert text_table(env.grid, values, policy).splitlines() == [
        "  0.645 →   0.744 →   0.848 →   1.000",
        "  0.566 ↑       #     0.572 ↑  -1.000",
        "  0.491 ↑   0.431 ←   0.475 ↑   0.277 ←",
    ]
    assert "→" not in text_table(env.grid, values)


def test_a_large_map_still_fits_a_picture():
    env = FourRooms(100, render_mode="rgb_array")
    env.reset(seed=0)
    env.draw(values=np.linspace(-1.0, 1.0, env.mdp.n_states))
    assert env.render().shape == (900, 900, 3)


@pytest.mark.parametrize("make", [CliffGrid, Crawler, CrawlerContinuous])
def test_a_window_shows_the_picture(make):
    import pygame

    env, same = make(render_mode="human"), make(render_mode="rgb_array")
    for each in (env, same):
        each.reset(seed=0)
        each.step(each.action_space.sample() * 0)
    assert env.render() is None
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
    np.testing.assert_array_equal(shown, same.render())
    env.close()
    env.close()
    assert pygame.display.get_surface() is None


def test_the_crawlers_tip_never_sinks_into_the_ground():
    for angles in bucket_angles():
        points = crawler_points(angles)
        x, y = tip_position(*angles)
        if y < 0:  # the body pivots: the tip is on the ground, as far from the corner as before
            np.testing.assert_allclose(points[6], [np.hypot(x, y), 0.0], atol=1e-9)
        else:
            np.testing.assert_allclose(points[6], [x, y], atol=1e-9)
        np.testing.assert_array_equal(points[0], [0.0, 0.0])
        assert np.hypot(*(points[5] - points[4])) == pytest.approx(60.0)
        assert np.hypot(*(points[6] - points[5])) == pytest.approx(40.0)


@pytest.mark.parametrize("make", [Crawler, CrawlerContinuous])
def test_the_crawlers_text_says_angles_and_distance(make):
    env = make(render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "arm   +0.0°  hand   -75.0°  distance     0.00\n"


def test_the_ground_moves_with_the_distance():
    env = CrawlerContinuous(render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.episode_return = 10.0
    below = (env.render() != before)[280:]
    assert below.any()


def test_drawing_without_pygame_says_what_to_install(monkeypatch):
    env = GridWorld(render_mode="rgb_array")
    env.reset(seed=0)
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(DependencyNotInstalled, match="pip install pygame"):
        env.render()


@pytest.mark.parametrize("make", [GridWorld, Crawler, CrawlerContinuous])
def test_an_unknown_render_mode_is_refused(make):
    with pytest.raises(ValueError, match="render_mode is 'video'; choose one of"):
        make(render_mode="video")

"""What agents see: indices, coordinates, pictures."""

import gymnasium as gym
import numpy as np
import pytest

from envs.crawler import Crawler
from envs.crawler_geometry import bucket_angles, crawler_state
from envs.fourrooms import FourRooms
from envs.gridworld import GridWorld
from envs.observations import AGENT_COLOUR, GAIN_COLOUR, LOSS_COLOUR, OPEN_COLOUR, WALL_COLOUR


def test_an_index_is_the_state_itself():
    env = GridWorld()
    assert env.reset(seed=0)[0] == 7
    np.testing.assert_array_equal(env.observations(), np.arange(11))


def test_coordinates_run_from_minus_one_at_the_left_and_bottom_to_one():
    env = GridWorld(observation="coordinates")
    at = env.observations()
    # The reference map has 4 columns, 1/3 · 2 apart, and 3 rows, 1 apart; row 1 is the bottom.
    for (column, row), expected in {
        (1, 1): (-1, -1),
        (4, 3): (1, 1),
        (2, 1): (-1 / 3, -1),
        (3, 2): (1 / 3, 0),
    }.items():
        np.testing.assert_allclose(at[env.grid.state_at(column, row)], expected, atol=1e-7)
    assert at.dtype == np.float32
    assert env.observation_space == gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def test_a_map_one_cell_high_has_the_coordinate_zero():
    np.testing.assert_array_equal(
        GridWorld("S.+", observation="coordinates").observations(), [[-1, 0], [0, 0], [1, 0]]
    )


def test_a_picture_colours_walls_exits_and_the_agents_cell():
    env = GridWorld(observation="image")
    picture, _ = env.reset(seed=0)
    assert picture.shape == (36, 48, 3)  # 3 × 4 cells of 12 pixels: 36 is the least
    cells = picture.reshape(3, 12, 4, 12, 3)
    assert (cells == cells[:, :1, :, :1]).all()
    colours = cells[:, 0, :, 0]
    for (row, column), colour in {
        (2, 0): AGENT_COLOUR,
        (1, 1): WALL_COLOUR,
        (0, 3): GAIN_COLOUR,
        (1, 3): LOSS_COLOUR,
        (0, 0): OPEN_COLOUR,
    }.items():
        assert tuple(colours[row, column]) == colour


@pytest.mark.parametrize("kind", ["coordinates", "image"])
@pytest.mark.parametrize("make", [GridWorld, Crawler, lambda **kwargs: FourRooms(7, **kwargs)])
def test_every_state_looks_different(make, kind):
    env = make(observation=kind)
    seen = env.observations()
    assert len(np.unique(seen.reshape(len(seen), -1), axis=0)) == env.mdp.n_states
    assert all(env.observation_space.contains(observation) for observation in seen)


def test_observing_a_state_gives_its_row_of_all_observations():
    env = GridWorld(observation="image", noise=0.5)
    everything = env.observations()
    env.reset(seed=0)
    for action in (0, 1, 2, 3) * 3:
        observation, _, ended, _, _ = env.step(action)
        np.testing.assert_array_equal(observation, everything[env.state])
        if ended:
            env.reset()


def test_the_crawlers_coordinates_are_its_angles():
    env = Crawler(observation="coordinates")
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(observation, bucket_angles()[crawler_state(4, 6)], atol=1e-7)


def test_large_maps_make_pictures_of_a_pixel_a_cell():
    assert FourRooms(100, observation="image").observation_space.shape == (100, 100, 3)


@pytest.mark.parametrize("make", [GridWorld, Crawler])
def test_an_unknown_observation_is_refused(make):
    with pytest.raises(ValueError, match="observation is 'pixels'; choose one of index, coord"):
        make(observation="pixels")

"""Pictures and text of the crawler: its body, arm, the ground and the distance (Spec 11.4)."""

import math

import numpy as np
import numpy.typing as npt

from envs.crawler_geometry import BODY_HEIGHT, BODY_WIDTH, HAND, UPPER_ARM, bucket_angles
from envs.mdp import FloatArray
from envs.rendering import Frame, load_pygame, pixels

WIDTH, HEIGHT, SCALE = 640, 360, 2.0
CORNER = (120.0, 280.0)  # where the body's rear bottom corner stands in the picture
TICKS_APART = 50.0
SKY, GROUND = (245, 245, 245), (150, 120, 90)
BODY, ARM, INK = (70, 90, 160), (210, 120, 50), (30, 30, 30)
# Observed pictures: the same scene, small, without the ground's ticks.
IMAGE_SHAPE, IMAGE_SCALE, IMAGE_CORNER = (40, 64), 0.3, (8.0, 30.0)


def crawler_points(angles: FloatArray) -> FloatArray:
    """Corners and joints as they stand over the ground, (7, 2): the body pivots with the tip.

    Order: rear bottom, front bottom, front top (the shoulder), rear top, shoulder, elbow, tip.
    """
    arm, hand = angles
    shoulder = np.array([BODY_WIDTH, BODY_HEIGHT])
    elbow = shoulder + UPPER_ARM * np.array([math.cos(arm), math.sin(arm)])
    tip = elbow + HAND * np.array([math.cos(arm + hand), math.sin(arm + hand)])
    body = [(0.0, 0.0), (BODY_WIDTH, 0.0), (BODY_WIDTH, BODY_HEIGHT), (0.0, BODY_HEIGHT)]
    points = np.array([*body, shoulder, elbow, tip])
    tilt = -math.atan2(tip[1], tip[0]) if tip[1] < 0.0 else 0.0
    cosine, sine = math.cos(tilt), math.sin(tilt)
    pivoted: FloatArray = points @ np.array([[cosine, sine], [-sine, cosine]])
    return pivoted


def describe_crawler(angles: FloatArray, distance: float) -> str:
    """One line: angles in degrees and the distance crawled."""
    arm, hand = np.degrees(angles)
    return f"arm {arm:+6.1f}°  hand {hand:+7.1f}°  distance {distance:8.2f}\n"


def draw_crawler(angles: FloatArray, distance: float) -> Frame:
    """A picture of the crawler, (360, 640, 3) uint8; the ground's ticks show the distance."""
    pygame = load_pygame()
    surface = pygame.Surface((WIDTH, HEIGHT))
    surface.fill(SKY)
    surface.fill(GROUND, (0, CORNER[1], WIDTH, HEIGHT - CORNER[1]))
    first = math.ceil((distance - CORNER[0] / SCALE) / TICKS_APART) * TICKS_APART
    for tick in np.arange(first, distance + WIDTH / SCALE, TICKS_APART):
        right = CORNER[0] + (tick - distance) * SCALE
        pygame.draw.line(surface, INK, (right, CORNER[1]), (right, CORNER[1] + 12), 2)
    points = [(CORNER[0] + SCALE * x, CORNER[1] - SCALE * y) for x, y in crawler_points(angles)]
    pygame.draw.polygon(surface, BODY, points[:4])
    pygame.draw.lines(surface, ARM, False, points[4:], 12)
    for joint in points[4:6]:
        pygame.draw.circle(surface, INK, joint, 7)
    pygame.font.init()
    label = pygame.font.Font(None, 32).render(f"distance {distance:.1f}", True, INK)
    surface.blit(label, (16, 16))
    return pixels(surface)


def crawler_images() -> npt.NDArray[np.uint8]:
    """The picture of each state of the finite crawler, (117, 40, 64, 3) uint8, without pygame."""
    return np.stack([_small_picture(angles) for angles in bucket_angles()])


def _small_picture(angles: FloatArray) -> npt.NDArray[np.uint8]:
    rows, columns = np.indices(IMAGE_SHAPE).astype(np.float64)
    x = (columns - IMAGE_CORNER[0]) / IMAGE_SCALE
    y = (IMAGE_CORNER[1] - rows) / IMAGE_SCALE
    points = crawler_points(angles)
    picture = np.full((*IMAGE_SHAPE, 3), SKY, dtype=np.uint8)
    picture[y < 0.0] = GROUND
    # In the body's own axes the rectangle is a pair of intervals.
    forward = points[1] / BODY_WIDTH
    along, above = x * forward[0] + y * forward[1], y * forward[0] - x * forward[1]
    inside = (along >= 0) & (along <= BODY_WIDTH) & (above >= 0) & (above <= BODY_HEIGHT)
    picture[inside] = BODY
    for begin, end in ((points[4], points[5]), (points[5], points[6])):
        picture[_distance_to_segment(x, y, begin, end) <= 1.0 / IMAGE_SCALE] = ARM
    return picture


def _distance_to_segment(
    x: FloatArray, y: FloatArray, begin: FloatArray, end: FloatArray
) -> FloatArray:
    direction = end - begin
    along = (x - begin[0]) * direction[0] + (y - begin[1]) * direction[1]
    share = np.clip(along / (direction @ direction), 0.0, 1.0)
    distance: FloatArray = np.hypot(
        x - begin[0] - share * direction[0], y - begin[1] - share * direction[1]
    )
    return distance

"""How an environment shows itself: text, an array of pixels, or a window."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled

Frame = npt.NDArray[np.uint8]


def load_pygame() -> Any:
    """Pygame, imported only when something is drawn.

    Raises:
        gymnasium.error.DependencyNotInstalled: it is not installed.
    """
    try:
        import pygame
    except ImportError as error:
        raise DependencyNotInstalled(
            'Drawing needs pygame, which is not installed: pip install "ppo-lab[render]", or '
            "pip install pygame."
        ) from error
    return pygame


def pixels(surface: Any) -> Frame:
    """The picture on a pygame surface, (height, width, 3) uint8."""
    across: Frame = load_pygame().surfarray.array3d(surface)
    return np.ascontiguousarray(across.transpose(1, 0, 2))


class Screen:
    """Delivers what ``Env.render`` returns in a render mode, and owns the window of ``human``.

    Args:
        mode: ``ansi``, ``rgb_array``, ``human`` or None.
        metadata: The environment's: ``render_modes`` it has, and ``render_fps`` in a window.

    Raises:
        ValueError: ``mode`` is not offered.
    """

    def __init__(self, mode: str | None, metadata: Mapping[str, Any]) -> None:
        offered = metadata["render_modes"]
        if mode is not None and mode not in offered:
            raise ValueError(f"render_mode is {mode!r}; choose one of {offered} or None.")
        self.mode = mode
        self._fps = metadata["render_fps"]
        self._window: Any = None
        self._clock: Any = None

    def show(self, text: Callable[[], str], frame: Callable[[], Frame]) -> str | Frame | None:
        """Text in ``ansi``, the frame in ``rgb_array``; in ``human`` draws it and returns None."""
        if self.mode == "ansi":
            return text()
        if self.mode == "rgb_array":
            return frame()
        if self.mode == "human":
            self._draw(frame())
        return None

    def _draw(self, frame: Frame) -> None:
        pygame = load_pygame()
        height, width, _ = frame.shape
        if self._window is None:
            pygame.display.init()
            pygame.display.set_caption("PPO Lab")
            self._window = pygame.display.set_mode((width, height))
            self._clock = pygame.time.Clock()
        pygame.surfarray.blit_array(self._window, frame.transpose(1, 0, 2))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Close the window if there is one; may be called again."""
        if self._window is not None:
            load_pygame().display.quit()
            self._window = None

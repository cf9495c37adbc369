"""A film of one game of several agents."""

from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from ppo_lab.errors import CommandError
from ppo_lab.multi_agent.vec_env import TEAM

__all__ = ["GameRecorder"]


class GameRecorder(VecEnvWrapper):
    """Records the first game of a vector environment of one; the file is written when it is closed.

    The game's last picture is missing: where it ends, the next one has begun.

    Args:
        env: made with ``rgb_array``.
        folder: where ``game.mp4`` goes.

    Raises:
        CommandError: from ``reset``, the game draws no picture.
    """

    def __init__(self, env: VecEnv, folder: Path) -> None:
        super().__init__(env)
        self._folder = folder
        self._frames: list[Any] = []
        self._is_over = False

    def reset(self) -> VecEnvObs:
        """Begin all games."""
        observations = self.venv.reset()
        self._frames, self._is_over = [], False
        self._capture()
        return observations

    def step_wait(self) -> VecEnvStepReturn:
        """Step all games."""
        observations, rewards, dones, infos = self.venv.step_wait()
        self._is_over = self._is_over or TEAM in infos[0]
        if not self._is_over:
            self._capture()
        return observations, rewards, dones, infos

    def close(self) -> None:
        """Write the film and close the games."""
        if self._frames:
            from moviepy.video.io.ImageSequenceClip import (  # type: ignore[import-untyped]
                ImageSequenceClip,
            )

            metadata: Any = self.venv.unwrapped.metadata
            fps = int(metadata.get("render_fps") or 30)
            self._folder.mkdir(parents=True, exist_ok=True)
            clip = ImageSequenceClip(self._frames, fps=fps)
            clip.write_videofile(str(self._folder / "game.mp4"), logger=None)
            self._frames = []
        super().close()

    def _capture(self) -> None:
        picture = self.venv.unwrapped.get_images()[0]
        if not isinstance(picture, np.ndarray):
            raise CommandError(
                f"--video: {self.venv.unwrapped} draws no picture with render_mode 'rgb_array'"
            )
        self._frames.append(picture)

"""The bar of one training: steps, speed, what is left, and the last evaluation."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from stable_baselines3.common.callbacks import BaseCallback

__all__ = ["TrainingBar"]

PARTS = 10


class TrainingBar(BaseCallback):
    """Moves between rollouts, so that no step of one has to call it.

    What is printed meanwhile, by SB3 or by the compiler of the kernels, stands above the bar.

    Args:
        console: where it is shown; where it is no terminal, as a line every tenth.
        timesteps: of the whole run.
    """

    every_step = False

    def __init__(self, console: Console, timesteps: int) -> None:
        super().__init__()
        self._console, self._total, self._tenth, self._score = console, timesteps, 0, ""
        self._progress = Progress(
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} steps"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[score]}"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=timesteps, speed="", score="")

    def _on_training_start(self) -> None:
        self._progress.start()
        self._show()

    def _on_rollout_start(self) -> None:
        self._show()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away, also where training ends by an error."""
        self._progress.stop()

    def _show(self) -> None:
        task = self._progress.tasks[0]
        speed = f"{task.speed:,.0f} steps/s" if task.speed else ""
        score = self.logger.name_to_value.get("eval/mean_reward")
        if score is not None:
            self._score = f"last evaluation {score:.4g}"
        steps = self.model.num_timesteps
        self._progress.update(self._task, completed=steps, speed=speed, score=self._score)
        tenth = PARTS * steps // max(1, self._total)
        if not self._console.is_terminal and tenth > self._tenth:
            self._tenth = tenth
            said = (f"{steps:,} of {self._total:,} steps", speed, self._score)
            self._console.print(", ".join(filter(None, said)))

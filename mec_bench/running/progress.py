"""The progress bar of a run: slots, and before them what DIRS imitates."""

from __future__ import annotations

from stable_baselines3.common.callbacks import ProgressBarCallback
from tqdm.rich import tqdm


class Progress(ProgressBarCallback):
    """Stable-Baselines3's progress bar for any algorithm, and for pre-training.

    Parameters
    ----------
    total : int, [slot]
        That are left to train for.

    Raises
    ------
    ImportError
        Without the extra "progress".

    Examples
    --------
    >>> Progress(100).n_calls
    0
    """

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        self._shown = 0

    def on_pretraining_step(self) -> None:
        """Show the stage that DIRS is in: no slot passes for a while."""
        self._show(getattr(self.model, "stage", ""))

    def _on_training_start(self) -> None:
        self._shown = self.model.num_timesteps
        self.pbar = tqdm(total=self._total)

    def _on_rollout_start(self) -> None:
        if self.pbar.desc:
            self._show("")

    def _on_step(self) -> bool:
        passed, self._shown = self.num_timesteps - self._shown, self.num_timesteps
        self.pbar.update(passed)
        return True

    def _show(self, stage: str) -> None:
        self.pbar.set_description(stage, refresh=True)

"""The progress bar of a run: slots, and before them what DIRS imitates."""

from __future__ import annotations

from stable_baselines3.common.callbacks import ProgressBarCallback


class Progress(ProgressBarCallback):
    """Stable-Baselines3's progress bar, which says how far pre-training is as well.

    Examples
    --------
    >>> Progress().n_calls
    0
    """

    def on_pretraining_step(self) -> None:
        """Show the stage that DIRS is in: no slot passes for a while."""
        self._show(getattr(self.model, "stage", ""))

    def _on_rollout_start(self) -> None:
        if self.pbar.desc:
            self._show("")

    def _show(self, stage: str) -> None:
        self.pbar.set_description(stage, refresh=True)

"""The Keras callback of a run; only where it is asked for, Keras is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras.callbacks import Callback

from clrbench.counted import counted

if TYPE_CHECKING:
    from clrbench.api.current_run import CurrentRun


def make_callback(run: CurrentRun, updates_done: int) -> Callback:
    """Return a callback that follows a run from some update on; see `CurrentRun.keras_callback`."""
    return _FollowRun(run, updates_done)


class _FollowRun(Callback):  # type: ignore[misc]
    """Sets the rate before every update, and logs after the first one, after every epoch, and at the end."""

    def __init__(self, run: CurrentRun, updates_done: int) -> None:
        super().__init__()
        self._run = run
        self._step = self._logged = updates_done

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Keras then calls the hooks of a batch once for several updates.
        if (at_once := getattr(self.model, "steps_per_execution", 1)) != 1:
            raise ValueError(
                f"compile: got steps_per_execution={at_once!r}; allowed: 1, as every update has a rate of its own; leave it out"
            )
        if self._step >= self._run.num_steps:
            raise ValueError(
                f"fit: all {counted(self._run.num_steps, 'update')} of the run are done; leave fit out, or pass the number of "
                "updates that the checkpoint was made after"
            )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.optimizer.learning_rate = self._run.lr(self._step)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._step += 1
        if self._step == 1:
            # Keras reports running means; the first one is of the first mini-batch alone.
            self._run.log_keras(1, logs)
            self._logged = 1
        if self._step >= self._run.num_steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._step > self._logged:
            self._run.log_keras(self._step, logs)
            self._logged = self._step

"""The run that a training script is to make, as an object; no framework is imported before it is asked for."""

from __future__ import annotations

import csv
import json
import math
import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from clrbench.api.whole_number import whole_number
from clrbench.counted import counted
from clrbench.errors import ResultsError
from clrbench.metric_names import ALLOWED_COLUMNS, is_column

if TYPE_CHECKING:
    from keras.callbacks import Callback
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

_STOP = "stop after num_steps, which may lie within an epoch"
_KERAS_NAMES = {"loss": "train_loss", "accuracy": "train_accuracy", "acc": "train_accuracy"}


class Rates(Sequence[float]):
    """The learning rate of every update, counted from 0: `lr[i]` and `lr(i)` are that of update i + 1."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = tuple(values)

    @overload
    def __getitem__(self, step: int) -> float: ...
    @overload
    def __getitem__(self, step: slice) -> Sequence[float]: ...
    def __getitem__(self, step: int | slice) -> float | Sequence[float]:
        """Return the rate of update `step` + 1."""
        try:
            return self._values[step]
        except IndexError:
            raise IndexError(
                f"got lr[{step}]; allowed: up to lr[{len(self) - 1}], the rate of the last of "
                f"{counted(len(self), 'update')}; {_STOP}"
            ) from None

    def __call__(self, step: int) -> float:
        """Return the rate of update `step` + 1; past the end, the last one."""
        return self._values[min(step, len(self._values) - 1)]

    def __len__(self) -> int:
        """Return the number of updates."""
        return len(self._values)


class CurrentRun:
    """The run that this process is to make, read from the folder that `CLRBENCH_RUN` names.

    Attributes:
        folder: The folder, which stays until the run is finished: the place for checkpoints of the script's own.
        arm: Name of the arm, also where one of its rates is tried; `range-test` in every training of a range test.
        seed: What is to decide initial weights, batch order and all else that is drawn.
        num_steps: Updates to make.
        steps_per_epoch: Updates of an epoch, as the spec says.
        lr: The rate of every update, counted from 0.
        evaluation_steps: Numbers of updates after which to evaluate, ascending; the last is `num_steps`.
        resumes: Whether an earlier attempt was stopped and has left files of its own in `folder`.
    """

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            ResultsError: If it is not there, or is no such folder.
        """
        self.folder = folder
        with _using(folder):
            about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            self.arm: str = about["arm"]
            self.seed: int = about["seed"]
            self.num_steps: int = about["num_steps"]
            self.steps_per_epoch: int = about["steps_per_epoch"]
            self.evaluation_steps: tuple[int, ...] = tuple(about["evaluation_steps"])
            self.resumes: bool = about["resumes"]
            with (folder / "lr.csv").open(encoding="utf-8", newline="") as file:
                self.lr = Rates([float(row["lr"]) for row in csv.DictReader(file)])
        self._path = folder / "metrics.csv"
        self._names: list[str] = []

    @property
    def epochs(self) -> int:
        """Epochs that hold all updates; the last one may not be whole."""
        return math.ceil(self.num_steps / self.steps_per_epoch)

    def evaluate_at(self, step: int) -> bool:
        """Return whether to evaluate after so many updates."""
        place = bisect_left(self.evaluation_steps, step)
        return place < len(self.evaluation_steps) and self.evaluation_steps[place] == step

    def log(self, step: SupportsIndex, **values: float) -> None:
        """Write down values of a run after `step` updates, 1 to `num_steps`: `train_loss`, `test_accuracy`, or any name.

        `train_loss` and `train_accuracy` of step n are those of mini-batch n, before its update, or means since the step logged
        before; that of step 1, before any update, shows whether arms of a seed start alike.

        Raises:
            ValueError: If the step is not one of the run, a name is not letters, digits and '_' that start with a letter, or the
                tables have a column of that name.
            ResultsError: If the folder of the run is gone.
        """
        number = whole_number(step)
        if number is None or not 1 <= number <= self.num_steps:
            beyond = f"; {_STOP}" if number is not None and number > self.num_steps else ""
            raise ValueError(
                f"got step {step}; allowed: 1 to {self.num_steps}, the whole number of updates made so far{beyond}"
            )
        for name in values:
            if not is_column(name):
                raise ValueError(f"got the metric {name!r}; {ALLOWED_COLUMNS}")
        cells = {"step": str(number), **{name: repr(float(value)) for name, value in values.items()}}
        with _using(self.folder):
            self._open_columns(list(values))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(",".join(cells.get(name, "") for name in self._names) + "\n")

    def _open_columns(self, wanted: list[str]) -> None:
        """See that the file has these columns; further ones are put after those it has."""
        if not self._names and self._path.is_file():
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                self._names = [name.strip() for name in next(csv.reader(file), [])]
        missing = [name for name in ("step", *wanted) if name not in self._names]
        if not missing:
            return
        self._names = [*filter(None, self._names), *missing]
        rows = self._path.read_text(encoding="utf-8").splitlines(keepends=True)[1:] if self._path.is_file() else []
        fresh = self._path.with_name(".metrics.csv.part")
        fresh.write_text("".join([",".join(self._names) + "\n", *rows]), encoding="utf-8")
        fresh.replace(self._path)

    def torch_scheduler(self, optimizer: Optimizer, updates_done: SupportsIndex = 0) -> LambdaLR:
        """Return a scheduler for a torch optimizer, to be stepped after every update.

        Groups whose rate differs from the first one's keep that ratio, and those at 0 stay there.

        Args:
            optimizer: In a script that goes on from a checkpoint, with the state that it had there.
            updates_done: After how many updates the checkpoint was made. The state of the scheduler need not be in it.

        Raises:
            ValueError: If the first group has the rate 0, or the run has fewer updates.
        """
        from torch.optim.lr_scheduler import LambdaLR

        done, groups = self._done(updates_done), optimizer.param_groups
        # A scheduler that was there before, or before the checkpoint, has kept the rates that the groups were made with.
        kept = "initial_lr" if all("initial_lr" in group for group in groups) else "lr"
        first = float(groups[0][kept])
        if first == 0:
            raise ValueError(
                "the first group of the optimizer has the rate 0, so the others have no ratio to it; put a group first whose "
                "rate is above 0: only ratios count"
            )
        for group in groups:
            group["initial_lr"] = float(group[kept]) / first

        # A plain function: the state of a scheduler holds any other callable, and so the whole table of rates.
        def rate(step: int) -> float:
            return self.lr(step)

        return LambdaLR(optimizer, rate, last_epoch=done - 1)

    def keras_callback(self, updates_done: SupportsIndex = 0) -> Callback:
        """Return a callback for `fit`: it sets the rate of every update, stops after the last one, and logs what `fit` reports.

        `loss` and `accuracy` become `train_loss` and `train_accuracy`, `val_loss` and the like `validation_loss`. Where `fit` has
        no update left to make, or a model is compiled with other `steps_per_execution` than 1, it ends in a ValueError.

        Args:
            updates_done: In a script that goes on from a checkpoint, after how many updates that was made.

        Raises:
            ValueError: If the run has fewer updates.
        """
        from clrbench.api.keras_callback import make_callback

        return make_callback(self, self._done(updates_done))

    def _done(self, updates_done: SupportsIndex) -> int:
        """Return after how many updates a checkpoint was made."""
        number = whole_number(updates_done)
        if number is None or not 0 <= number <= self.num_steps:
            raise ValueError(
                f"got updates_done {updates_done}; allowed: 0 to {self.num_steps}, the whole number of updates before the "
                "checkpoint"
            )
        return number

    def log_keras(self, step: int, logs: dict[str, Any] | None) -> None:
        """Write down what Keras reports as `logs`, under the names that tables have."""
        self.log(step, **dict(_renamed(logs or {})))


@contextmanager
def _using(folder: Path) -> Iterator[None]:
    """Raise ResultsError where the files of a run are not there, or not as they were made."""
    try:
        yield
    except (OSError, KeyError, ValueError, csv.Error) as err:
        raise ResultsError(
            f"{folder}: this folder of a run, which CLRBENCH_RUN names, cannot be used ({err}); run clrbench compare, which "
            "makes the folder and starts the script"
        ) from err


def _renamed(logs: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in logs.items():
        plain, is_validation = name.removeprefix("val_"), name.startswith("val_")
        own = _KERAS_NAMES.get(plain, f"train_{plain}")
        known = own.replace("train_", "validation_", 1) if is_validation else own
        if is_column(known):
            yield known, float(value)


@lru_cache(maxsize=1)
def current_run() -> CurrentRun:
    """Return the run that clrbench has started this process for.

    Raises:
        ResultsError: If it was not started by clrbench, or the folder of the run is gone.
    """
    folder = os.environ.get("CLRBENCH_RUN")
    if folder is None:
        raise ResultsError(
            "this process was not started by clrbench (CLRBENCH_RUN is not set); put the script into a spec, train: {command: "
            "python train.py, steps_per_epoch: 500}, and run clrbench compare"
        )
    return CurrentRun(Path(folder))

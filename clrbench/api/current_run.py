"""The run that a training script is to make, as an object; no framework is imported before it is asked for."""

from __future__ import annotations

import csv
import json
import math
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from clrbench.counted import counted
from clrbench.errors import ResultsError

if TYPE_CHECKING:
    from keras.callbacks import Callback
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
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
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        self.folder = folder
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

    def log(self, step: int, **values: float) -> None:
        """Write down values of a run after `step` updates, 1 to `num_steps`: `train_loss`, `test_accuracy`, or any name.

        `train_loss` and `train_accuracy` of step n are those of mini-batch n, before its update, or means since the step logged
        before; that of step 1, before any update, shows whether arms of a seed start alike.

        Raises:
            ValueError: If the step is not one of the run, or a name is no letters, digits and '_'.
        """
        if not 1 <= step <= self.num_steps:
            beyond = f"; {_STOP}" if step > self.num_steps else ""
            raise ValueError(
                f"got step {step}; allowed: 1 to {self.num_steps}, the number of updates made so far{beyond}"
            )
        for name in values:
            if not _NAME.fullmatch(name):
                raise ValueError(f"got the metric {name!r}; allowed: letters, digits and '_', starting with a letter")
        self._open_columns(list(values))
        cells = {"step": str(step), **{name: repr(float(value)) for name, value in values.items()}}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(",".join(cells.get(name, "") for name in self._names) + "\n")

    def _open_columns(self, wanted: list[str]) -> None:
        """See that the file has these columns; further ones are put after those it has."""
        if not self._names and self._path.is_file():
            with self._path.open(encoding="utf-8") as file:
                self._names = file.readline().strip().split(",")
        missing = [name for name in ("step", *wanted) if name not in self._names]
        if not missing:
            return
        self._names = [*filter(None, self._names), *missing]
        rows = self._path.read_text(encoding="utf-8").splitlines(keepends=True)[1:] if self._path.is_file() else []
        fresh = self._path.with_name(".metrics.csv.part")
        fresh.write_text("".join([",".join(self._names) + "\n", *rows]), encoding="utf-8")
        fresh.replace(self._path)

    def torch_scheduler(self, optimizer: Optimizer) -> LambdaLR:
        """Return a scheduler for a torch optimizer, to be stepped after every update.

        Groups whose rate differs from the first one's keep that ratio.
        """
        from torch.optim.lr_scheduler import LambdaLR

        first = float(optimizer.param_groups[0]["lr"])
        for group in optimizer.param_groups:
            group["initial_lr"] = float(group["lr"]) / first if first else 1.0
        return LambdaLR(optimizer, self.lr)

    def keras_callback(self) -> Callback:
        """Return a callback for `fit`: it sets the rate of every update, stops after the last one, and logs what `fit` reports.

        `loss` and `accuracy` become `train_loss` and `train_accuracy`, `val_loss` and the like `validation_loss`.
        """
        from clrbench.api.keras_callback import make_callback

        return make_callback(self)

    def log_keras(self, step: int, logs: dict[str, Any] | None) -> None:
        """Write down what Keras reports as `logs`, under the names that tables have."""
        self.log(step, **dict(_renamed(logs or {})))


def _renamed(logs: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in logs.items():
        plain, is_validation = name.removeprefix("val_"), name.startswith("val_")
        own = _KERAS_NAMES.get(plain, f"train_{plain}")
        known = own.replace("train_", "validation_", 1) if is_validation else own
        if _NAME.fullmatch(known):
            yield known, float(value)


@lru_cache(maxsize=1)
def current_run() -> CurrentRun:
    """Return the run that clrbench has started this process for.

    Raises:
        ResultsError: If it was not started by clrbench.
    """
    folder = os.environ.get("CLRBENCH_RUN")
    if folder is None:
        raise ResultsError(
            "this process was not started by clrbench (CLRBENCH_RUN is not set); put the script into a spec, train: {command: "
            "python train.py, steps_per_epoch: 500}, and run clrbench compare"
        )
    return CurrentRun(Path(folder))

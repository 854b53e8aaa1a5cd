"""The files that `clrbench export` writes: a header, the schedule in plain Python, and what a framework needs of it."""

from dataclasses import dataclass
from textwrap import fill
from typing import Literal, TypeAlias, get_args

import numpy as np

from clrbench import __version__
from clrbench.counted import counted
from clrbench.report.export.formulas import python_source
from clrbench.spec import BackendName, BaseCyclic, Clock, Length, Optimizer, Schedule
from clrbench.spec.train import SCRIPT

Format: TypeAlias = Literal["torch", "keras", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)

LINE_WIDTH = 118

ADVICE = (
    "These rates belong to this batch size, optimizer and length. For other data or another length set STEPS_PER_EPOCH to "
    "your own (training rows // batch size). What was given in epochs is recomputed from it, not copied; what was given in "
    "steps you set yourself. For another batch size or optimizer run clrbench range-test again."
)
CSV_ADVICE = (
    "these rates belong to this batch size, optimizer and length; for another length or other steps per epoch "
    "export a spec that has it; for another batch size or optimizer run clrbench range-test again"
)


@dataclass(frozen=True)
class Exported:
    """A schedule that was trained or planned, and what it belongs to.

    Attributes:
        schedule: All its rates known.
        duration: Of the run, as the spec has it.
        backend: Whose rates they are.
        verdict: What the experiment came to on that backend, a sentence; or that there is none.
    """

    experiment: str
    arm: str
    backend: BackendName
    schedule: Schedule
    clock: Clock
    duration: Length
    batch_size: int
    optimizer: Optimizer
    verdict: str


def export_source(exported: Exported, to: Format) -> str:
    """Return the content of a file that holds a schedule: Python that imports no clrbench, or a table of steps and rates."""
    if to == "csv":
        return _csv(exported)
    body = python_source(exported.schedule, exported.clock, exported.duration)
    imported, adapter = _torch(exported.schedule) if to == "torch" else (_KERAS_IMPORTS, _keras(exported))
    has_math = body.startswith("import math\n")
    imports = ("import math\n\n" if has_math else "") + imported
    return f'"""{_header(exported, to)}"""\n\n{imports}\n{body.removeprefix("import math").lstrip()}\n\n{adapter}'


def _csv(exported: Exported) -> str:
    """Return step (1 is the first update) and rate (float32 in its shortest form) of every update."""
    rates = exported.schedule.table(exported.clock).astype(np.float32)
    return "\n".join(["step,lr", *(f"{step},{rate!s}" for step, rate in enumerate(rates, 1)), ""])


def _header(exported: Exported, to: Format) -> str:
    settings = exported.optimizer.model_dump(exclude_defaults=True)
    optimizer = ", ".join(
        [exported.optimizer.name, *(f"{key} {value}" for key, value in settings.items() if key != "name")]
    )
    by_script = exported.backend == SCRIPT
    plain = exported.schedule.model_dump(mode="json", exclude_none=True, exclude={"rates"})
    schedule = ", ".join(f"{key} {value}" for key, value in plain.items() if key != "name")
    lines = [
        f"Learning rate of arm {exported.arm} of experiment {exported.experiment}, written by clrbench {__version__}.",
        "",
        f"Verdict: {exported.verdict}",
        f"Schedule: {exported.schedule.name}: {schedule}; the rates of {exported.backend}",
        "Trained with: "
        f"{'' if by_script else f'batch size {exported.batch_size}, '}{counted(exported.clock.steps_per_epoch, 'step')} per "
        f"epoch, {counted(exported.clock.num_steps, 'step')} ({exported.duration}){'' if by_script else f', {optimizer}'}",
        "",
        ADVICE,
        "",
        _USE[to],
    ]
    wrapped = "\n".join(fill(line, LINE_WIDTH, subsequent_indent="  " if ": " in line[:14] else "") for line in lines)
    # Nothing that a spec can hold ends the text early.
    return wrapped.replace("\\", "\\\\").replace('"""', "'''") + "\n"


_USE = {
    "torch": "Use: scheduler = make_scheduler(optimizer), then for each batch optimizer.step(); scheduler.step().",
    "keras": "Use: keras.optimizers.SGD(learning_rate=Schedule()), or any other optimizer.",
    "csv": "",
}

_TORCH_SCHEDULER = '''\
def make_scheduler(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """Return a scheduler to step after each update, which gives every parameter group the rate lr(step).

    To resume, make optimizer and scheduler as at the start, then load the state dict of each.
    """
{body}'''
_LAMBDA = """\
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1.0  # LambdaLR multiplies it by lr(step)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lr)
"""
_MODES = ("triangular", "triangular2", "exp_range")
"""The schedules that are modes of torch's CyclicLR, by the same names."""


def _torch(schedule: Schedule) -> tuple[str, str]:
    return "import torch\n", _TORCH_SCHEDULER.format(body=_own_scheduler(schedule) or _LAMBDA)


def _own_scheduler(schedule: Schedule) -> str | None:
    """Return torch's own scheduler of a kind that it has, or None."""
    if schedule.warmup is not None:
        return None
    if isinstance(schedule, BaseCyclic) and schedule.name in _MODES:
        gamma = "        gamma=GAMMA,\n" if schedule.name == "exp_range" else ""
        return (
            "    return torch.optim.lr_scheduler.CyclicLR(\n"
            "        optimizer,\n        base_lr=BASE_LR,\n        max_lr=MAX_LR,\n"
            "        step_size_up=STEP_SIZE,\n        step_size_down=STEP_SIZE_DOWN,\n"
            f'        mode="{schedule.name}",\n{gamma}        cycle_momentum=False,\n    )\n'
        )
    if schedule.name == "one_cycle":
        return (
            "    return torch.optim.lr_scheduler.OneCycleLR(\n"
            "        optimizer,\n        max_lr=MAX_LR,\n        total_steps=NUM_STEPS,\n        pct_start=PCT_START,\n"
            f'        anneal_strategy="{dict(schedule)["anneal"]}",\n        div_factor=DIV_FACTOR,\n'
            "        final_div_factor=FINAL_DIV_FACTOR,\n        cycle_momentum=False,\n    )\n"
        )
    return None


_KERAS_IMPORTS = "import keras\nimport numpy as np\n"
_KERAS_SCHEDULE = '''\
@keras.saving.register_keras_serializable(package={experiment!r}, name={arm!r})
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The rates lr(0), lr(1), ... by the number of updates done; a saved model holds it by its name."""

    def __init__(self) -> None:
        super().__init__()
        self._rates = np.array([lr(step) for step in range(NUM_STEPS)], dtype="float32")

    def __call__(self, step):
        index = keras.ops.clip(keras.ops.cast(step, "int32"), 0, NUM_STEPS - 1)
        return keras.ops.take(self._rates, index)

    def get_config(self) -> dict:
        return {{}}
'''


def _keras(exported: Exported) -> str:
    return _KERAS_SCHEDULE.format(experiment=exported.experiment, arm=f"{exported.arm}-lr")

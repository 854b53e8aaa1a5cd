"""What the commands that make runs are handed."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from clrbench.backends import installed
from clrbench.commands.data_summary import data_lines
from clrbench.commands.opening import open_spec
from clrbench.data import Library
from clrbench.errors import SpecError
from clrbench.execution.executor import OpenExecutor, open_executor
from clrbench.execution.runner import Options, Runner
from clrbench.execution.session import Pace
from clrbench.planning.experiment import Experiment, check_installed, described, load_data
from clrbench.progress import Display

LOCAL: OpenExecutor = partial(open_executor, "local")


@dataclass(frozen=True)
class Setup:
    """What a program that starts the command line can choose, and no option can."""

    pace: Pace = field(default_factory=Pace)
    open_executor: OpenExecutor = LOCAL


@dataclass(frozen=True)
class Job:
    """A spec, or None for the packaged demo, and how to make its runs; `out` holds a folder for each experiment."""

    path: Path | None
    out: Path
    library: Library
    options: Options
    display: Display
    setup: Setup

    @property
    def announces_demo(self) -> bool:
        """Whether to say what a command without a spec is about to do."""
        return self.path is None and not self.display.is_quiet

    def open(self) -> Experiment:
        """Return the experiment of the spec; its warnings are shown."""
        self.options.check()
        experiment = open_spec(self.path, self.out, self.library)
        for warning in experiment.warnings:
            self.display.note(f"Warning: {warning}")
        return experiment

    def runner(self, experiment: Experiment) -> Runner:
        """Return what makes the runs of an experiment, once its backends and data are here."""
        check_installed(experiment.backends, installed())
        experiment, dataset = load_data(experiment, self.display.counting)
        before = experiment.warnings
        experiment, found = described(experiment)
        if experiment.spec.train is not None:
            self._check_script_device()
        validates = experiment.spec.data.validation.amount > 0
        for line in data_lines(found, validates=validates) if found else ():
            self.display.note(f"Data: {line}")
        for warning in experiment.warnings[len(before) :]:
            self.display.warn(warning)
        open_it = self.setup.open_executor
        if self.options.executor != "local":
            open_it = partial(open_executor, self.options.executor)
        return Runner(experiment, dataset, self.options, self.display, open_it, self.setup.pace)

    def _check_script_device(self) -> None:
        """Raise SpecError where a device is asked for that a script is not told of."""
        device, executor = self.options.device, self.options.executor
        if self.options.devices is not None:
            raise SpecError("--devices pins workers, but a script (train) chooses its own device; leave --devices out")
        if device == "auto" or (device == "cuda" and executor == "ray"):
            return
        advice = "leave device out" + ", or ask Ray for a GPU a run with device cuda" * (executor == "ray")
        raise SpecError(f"device: got {device}, but a script (train) chooses its own device; {advice}")

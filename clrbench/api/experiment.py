"""Experiments from Python: train one, or load one from its folder."""

import base64
import html
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from clrbench.analysis.glance import glance
from clrbench.analysis.looks import looked_at
from clrbench.analysis.results import Results
from clrbench.analysis.tables import Findings, analyse
from clrbench.answer import PLAIN_COLUMNS
from clrbench.api.whole_number import whole_number
from clrbench.commands.compare import compare as compare_command
from clrbench.commands.setup import Job, Setup
from clrbench.errors import ResultsError, SpecError
from clrbench.execution.executor import EXECUTORS
from clrbench.execution.placement import parse_address
from clrbench.execution.runner import Options
from clrbench.progress import Display
from clrbench.report.console import plain
from clrbench.report.figures.registry import FIGURES
from clrbench.report.figures.style import to_png
from clrbench.report.terminal import answer_text
from clrbench.report.text import foldable_warnings
from clrbench.spec import library_from_environment, load_spec
from clrbench.store import ResultsFolder

_DEVICES = ("auto", "cpu", "cuda", "mps")
_SHOWN = ("differences", "overview")


class Experiment:
    """What an experiment came to: answer, tables and figures; a notebook shows the answer with its picture."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self.folder = folder
        """Where its runs, tables and plots are."""
        self._findings = findings

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Every table by the name of its CSV file: `metrics`, `summary`, `comparison`, ..."""
        return self._findings.tables

    @property
    def verdicts(self) -> pd.DataFrame:
        """The rows of the comparison in the metric of the verdict."""
        comparison = self.tables["comparison"]
        return comparison[comparison["metric"] == self._findings.spec.verdict.metric].reset_index(drop=True)

    @property
    def figures(self) -> "Figures":
        """The figures by name, each drawn when it is asked for."""
        return Figures(self._findings)

    def __repr__(self) -> str:
        """Return the answer in words."""
        found = glance(self._findings)
        warnings = [*foldable_warnings(self._findings)]
        return plain(answer_text(found, self._findings, warnings, self.folder, PLAIN_COLUMNS, details=False))

    def _repr_html_(self) -> str:
        """Return the answer and the figure of the differences, for a notebook."""
        figure = next((self.figures[name] for name in _SHOWN if name in self.figures), None)
        text = f"<pre>{html.escape(repr(self))}</pre>"
        if figure is None:
            return text
        picture = base64.b64encode(to_png(figure)).decode()
        return f'{text}<img width="800" alt="differences" src="data:image/png;base64,{picture}"/>'


class Figures(Mapping[str, Figure]):
    """The figures of an experiment by name; those that have nothing to show are not among them."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._plots = {plot.name: plot for plot in FIGURES}
        self._drawn: dict[str, Figure | None] = {}

    def __getitem__(self, name: str) -> Figure:
        """Return a figure."""
        if (figure := self._draw(name)) is None:
            raise KeyError(name)
        return figure

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the figures that show something."""
        return (name for name in self._plots if self._draw(name) is not None)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)

    def _draw(self, name: str) -> Figure | None:
        if name not in self._drawn:
            self._drawn[name] = self._plots[name].draw(self._findings) if name in self._plots else None
        return self._drawn[name]


def load(folder: str | Path) -> Experiment:
    """Return the experiment in a results folder, as `clrbench report` would rebuild it; nothing is trained or drawn.

    Raises:
        ResultsError: If it holds no finished run, or one is damaged.
    """
    results = ResultsFolder(Path(folder))
    spec = results.read_spec()
    results.check_has_runs()
    with results.tables_lock():
        findings = analyse(looked_at(Results.read(results, spec), results))
        # All tables now: built later, they would keep every step of every run in memory.
        return Experiment(results.root, replace(findings, tables=dict(findings.tables)))


def compare(  # noqa: PLR0913 (all but the first are options of the command)
    spec: str | Path,
    *,
    out: str | Path = "results",
    workers: int | None = None,
    threads: int | None = None,
    device: str = "auto",
    executor: str = "local",
    ray_address: str | None = None,
    quiet: bool = True,
) -> Experiment:
    """Train every arm of a spec that is not finished yet, as `clrbench compare` does, and return what it came to.

    Runs are made in processes of their own, which import the script that started them: in a script call it below
    `if __name__ == "__main__":`. A notebook needs no such line. Data is kept where the environment variable `CLRBENCH_DATA`
    says, as on the command line, and fetched from where the file that `CLRBENCH_SOURCES` names says.

    Args:
        spec: The path of a YAML file.
        out: The folder in which each experiment has its own.
        workers: Worker processes; as the processors allow unless given.
        threads: Threads of each run; 1 unless given.
        device: auto, cpu, cuda or mps.
        executor: local, or ray for a Ray cluster.
        ray_address: HOST:PORT of its head node, or auto for the one that this machine is a node of; a Ray of this machine alone
            unless given.
        quiet: Whether to show no progress.

    Raises:
        SpecError: If the spec, or the file that `CLRBENCH_SOURCES` names, is not allowed, the spec does not fit its data, or an
            argument is out of range.
        BackendError: If the cluster cannot be joined, or the package ray is missing.
        ResultsError: If a range test that arms take their rates from has no answer; the message is that of the command.
    """
    if device not in _DEVICES:
        raise SpecError(f"device: got {device!r}; allowed: {', '.join(_DEVICES)}")
    if executor not in tuple(EXECUTORS):
        raise SpecError(f"executor: got {executor!r}; allowed: {', '.join(EXECUTORS)}")
    address = _address(ray_address)
    if address is not None and executor != "ray":
        raise SpecError(f"ray_address names a Ray cluster, but executor is {executor!r}; add executor='ray'")
    options = Options(
        workers=_at_least_1("workers", workers),
        threads=_at_least_1("threads", threads),
        device=device,
        executor=executor,
        ray_address=address,
    )
    job = Job(Path(spec), Path(out), library_from_environment(), options, Display(quiet=quiet), Setup())
    answer = compare_command(job)
    folder = Path(out) / load_spec(Path(spec)).spec.name
    if not ResultsFolder(folder).has_runs():
        raise ResultsError(plain(answer.shown(PLAIN_COLUMNS)))
    return load(folder)


def _at_least_1(name: str, number: object) -> int | None:
    """Return a whole number of any library, or None; raise SpecError for anything else."""
    if number is None:
        return None
    whole = whole_number(number)
    if whole is None or whole < 1:
        raise SpecError(f"{name}: got {number!r}; allowed: a whole number of at least 1, or None")
    return whole


def _address(ray_address: object) -> str | None:
    """Return the address of a Ray cluster, or None; raise SpecError for anything else."""
    if ray_address is None:
        return None
    if not isinstance(ray_address, str):
        raise SpecError(f"ray_address: got {ray_address!r}; allowed: HOST:PORT as a text, auto, or None")
    return parse_address(ray_address, "ray_address")

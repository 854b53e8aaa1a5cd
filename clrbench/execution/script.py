"""One run of a training script: its folder, its process, and what it left behind as the log of a run."""

import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clrbench.counted import counted
from clrbench.errors import BackendError
from clrbench.execution.script_process import Ended, ScriptProcess
from clrbench.execution.script_rows import Follower, Rows, RowsError, check_rates, read_rows
from clrbench.execution.session import Watcher
from clrbench.files import disk_errors, make_folder
from clrbench.planning.script import Purpose, told_arm
from clrbench.records import DoubleArray, Evaluation, FloatArray, RunLog, Split, StepLog, Timing
from clrbench.spec import Clock, RunSpec
from clrbench.spec.train import Train
from clrbench.store.run import LOG_FILE, RUN_FILE, WRITTEN_FILE
from clrbench.store.scripts import RATES_FILE, holds_kept

POLL_SECONDS = 0.2
SHOWN_LINES, SHOWN_CHARACTERS = 20, 200
"""Of what a script printed, where it fails."""
MAX_LOG_BYTES = 200_000_000
"""What prints more is stopped."""
KEPT_LOG_BYTES = 1_000_000
"""The end of what it printed is kept with a run."""
_OR_ANOTHER = ", or name another metric in verdict.metric"
_OTHER_PYTHON = (
    "; its Python has no clrbench: install it there, activate the environment of clrbench, or name in the command "
    f"{sys.executable}"
)
_ADVICE = "free space, fix permissions or move it; finished runs are kept"


@dataclass(frozen=True)
class ScriptRun:
    """A run that a script is to make.

    Attributes:
        spec_folder: Where its command is run.
        folder: Its run folder, which stays until the run is finished.
        needs: Metrics of which it must have written one at its last step; any will do where there are none.
        kept_in: Where its run folder is found once it has failed; None where that stays where it is.
        purpose: What it is made for, which decides the arm that the script is told.
    """

    run_id: str
    run: RunSpec
    train: Train
    spec_folder: Path
    folder: Path
    needs: Sequence[str] = ()
    kept_in: Path | None = None
    purpose: Purpose = "runs"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / LOG_FILE

    @property
    def written(self) -> Path:
        """What it writes."""
        return self.folder / WRITTEN_FILE

    def lr(self) -> FloatArray:
        """Return the rate of every update."""
        table = self.run.schedule.table(Clock(self.run.steps_per_epoch, self.run.num_steps))
        return np.asarray(table, np.float32)

    def make(self, watcher: Watcher) -> RunLog | None:
        """Run the script, and return what it left behind; or None where it was told to stop.

        Raises:
            BackendError: If it fails, or what it wrote is not that of a whole run; its output is kept in its folder.
        """
        with disk_errors(self.folder, BackendError, _ADVICE):
            resumed = self._prepare()
        started = time.monotonic()
        words = self.train.words(self.run.seed)
        with ScriptProcess(words, self.spec_folder.resolve(), self.folder.resolve(), self.log.resolve()) as process:
            ended, why = self._follow(process, watcher)
        if watcher.stopping() and ended is None:
            return None
        seconds = time.monotonic() - started
        with disk_errors(self.folder, BackendError, _ADVICE):
            return self._read(ended, why, seconds, watcher, resumed=resumed)

    def _prepare(self) -> bool:
        """Write what the script is told; return whether it finds files of its own from an attempt that was stopped."""
        make_folder(self.folder, parents=True)
        resumes = holds_kept(self.folder)
        if not resumes:
            self.written.unlink(missing_ok=True)
            self.log.unlink(missing_ok=True)
        elif self.written.is_file():
            _cut_to_whole_lines(self.written)
        run = self.run
        about = {
            "arm": told_arm(run.arm, self.purpose),
            "seed": run.seed,
            "num_steps": run.num_steps,
            "steps_per_epoch": run.steps_per_epoch,
            "evaluation_steps": list(run.evaluation_steps),
            "resumes": resumes,
        }
        # Without exponents, which not every language reads.
        rates = "".join(f"{step},{np.format_float_positional(lr, trim='0')}\n" for step, lr in enumerate(self.lr(), 1))
        (self.folder / RATES_FILE).write_text(f"step,lr\n{rates}", encoding="utf-8")
        (self.folder / RUN_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        return resumes

    def _follow(self, process: ScriptProcess, watcher: Watcher) -> tuple[Ended | None, str]:
        """Wait until the script ends; return how it did, None where it is to be stopped, and why, if that is an error."""
        follower = Follower(self.written, self.run.num_steps, self.run.divergence_factor)
        limit = self.train.timeout or math.inf
        started, told = time.monotonic(), 0
        while (ended := process.wait(POLL_SECONDS)) is None:
            follower.look()
            watcher.advance(follower.last_step - told)
            told = follower.last_step
            if watcher.stopping() or follower.is_over:
                return None, ""
            if time.monotonic() - started > limit:
                return None, f"ran longer than train.timeout, {self.train.timeout}, and was stopped"
            if self._log_bytes() > MAX_LOG_BYTES:
                return None, f"printed more than {MAX_LOG_BYTES / 1e6:g} MB, and was stopped; print less"
        return ended, ""

    def _log_bytes(self) -> int:
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def _read(self, ended: Ended | None, why: str, seconds: float, watcher: Watcher, *, resumed: bool) -> RunLog:
        """Return the log of a run whose script has ended."""
        try:
            rows = read_rows(self.written, self.run.num_steps, resumed=resumed)
        except RowsError as err:
            raise self._error(why or (ended.words if ended else "") or str(err)) from err
        diverged = rows.diverged(self.run.divergence_factor)
        if diverged is None and (problem := why or (ended.words if ended else "")):
            raise self._error(problem)
        try:
            check_rates(rows, self.lr().astype(np.float64))
            if diverged is None:
                diverged = self._check_whole(rows)
        except RowsError as err:
            raise self._error(str(err)) from err
        if ended is not None and ended.left:
            watcher.warn(
                f"{self.run_id}: its script left {counted(ended.left, 'process')} running, now ended: "
                "a script should wait for what it starts"
            )
        return self._to_log(rows, diverged, seconds)

    def _check_whole(self, rows: Rows) -> tuple[int, str] | None:
        """Raise RowsError unless what is needed stands at the last step; return the step and why where that is nan."""
        last = self.run.num_steps
        there = [name for name in self.needs if name in rows.written and rows.written[name][-1]]
        if self.needs and not there:
            known = [name for name in self.needs if name in rows.written]
            steps = [int(np.flatnonzero(rows.written[name])[-1]) + 1 for name in known if rows.written[name].any()]
            got = (
                f"its last {' or '.join(known)} is that of step {max(steps)}"
                if steps
                else f"it wrote {_listed(rows.own)}"
            )
            raise RowsError(
                f"wrote no {' or '.join(self.needs)} for step {last}, its last: {got}, and its last row is that of step "
                f"{rows.last_step}; write it after {counted(last, 'update')}{_OR_ANOTHER if len(self.needs) == 1 else ''}"
            )
        broken = [name for name in there if not math.isfinite(rows.columns[name][-1])]
        return (
            (last, f"{broken[0]} at the end is {rows.columns[broken[0]][-1]:g}") if broken == there and there else None
        )

    def _to_log(self, rows: Rows, diverged: tuple[int, str] | None, seconds: float) -> RunLog:
        steps = np.array(self.run.evaluation_steps, np.int32)
        until = self.run.num_steps if diverged is None else diverged[0]
        places = steps - 1

        def of(name: str) -> DoubleArray:
            values = rows.of(name)[places]
            # What was measured at the update that a run diverged in is no longer of a run that trains.
            return np.where((steps < until) | (diverged is None), values, np.nan)

        def trained(values: DoubleArray) -> FloatArray:
            return np.where(np.arange(1, self.run.num_steps + 1) <= until, values, np.nan).astype(np.float32)

        splits = {
            split: tuple(
                Evaluation(*numbers)
                for numbers in zip(
                    *(of(f"{split}_{name}").tolist() for name in ("loss", "accuracy", "balanced_accuracy")), strict=True
                )
            )
            for split in (Split.VALIDATION, Split.TEST)
        }
        common = {f"{split}_{name}" for split in Split for name in ("loss", "accuracy", "balanced_accuracy")}
        return RunLog(
            steps=StepLog(
                lr=trained(self.lr().astype(np.float64)),
                loss=trained(rows.of("train_loss")),
                accuracy=trained(rows.of("train_accuracy")),
            ),
            evaluation_steps=steps,
            evaluations=splits,
            status="finished" if diverged is None else "diverged",
            reason=None if diverged is None else diverged[1],
            timing=Timing(max(seconds, 1e-3), 0.0, 0.0, 0.0, num_images=0),
            own={name: of(name) for name in rows.own if name not in common},
            kept={WRITTEN_FILE: self.written.read_bytes(), LOG_FILE: _end_of(self.log)},
        )

    def _error(self, problem: str) -> BackendError:
        lines = _end_of(self.log).decode(errors="replace").splitlines()[-SHOWN_LINES:]
        shown = "".join(f"\n  | {_printable(line)}" for line in lines)
        said = f"; it printed, in the end:{shown}" if lines else "; it printed nothing"
        advice = _OTHER_PYTHON if any("No module named 'clrbench'" in line for line in lines) else ""
        return BackendError(f"{self.run_id}: {problem}{advice}; its folder is {self.kept_in or self.folder}{said}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing but steps and rates"


def _printable(line: str) -> str:
    text = line.rpartition("\r")[2] if line.rpartition("\r")[2] else line
    plain = "".join(char if char.isprintable() or char == "\t" else " " for char in text)
    return plain if len(plain) <= SHOWN_CHARACTERS else f"{plain[:SHOWN_CHARACTERS]}..."


def _end_of(log: Path) -> bytes:
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - KEPT_LOG_BYTES))
        return file.read()
    return b""


def _cut_to_whole_lines(path: Path) -> None:
    """Take off the line that a stopped script was writing."""
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)

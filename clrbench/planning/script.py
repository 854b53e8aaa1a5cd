"""A training script of the user's own, before it is run: what must be there, and what its runs are known by."""

import hashlib
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from clrbench.errors import DataError, SpecError
from clrbench.planning.runs import RANGE_TEST_ARM
from clrbench.planning.tuning import arm_at_rate
from clrbench.records import Dataset, Split
from clrbench.spec import METRICS, RunSpec, Spec
from clrbench.spec.train import SCRIPT, Train

SCRIPT_SUFFIXES = (".py", ".sh", ".R", ".jl", ".pl", ".rb", ".js")
"""Of words in a command that must be files."""

Purpose: TypeAlias = Literal["runs", "search", "range test"]
"""What runs are made for: the arms themselves, the rates of tuned arms, or those of a range test."""


def check_files(train: Train, folder: Path) -> None:
    """Raise SpecError unless every file that a command and `files` name lies in the folder of the spec, or below it."""
    for word in shlex.split(train.command):
        if word.endswith(SCRIPT_SUFFIXES) and not word.startswith("-") and not (folder / word).is_file():
            raise SpecError(
                f"names {word}, and there is no such file in {folder}, the folder of the spec, which it is run from",
                key=("train", "command"),
            )
    for name in train.files:
        if not (folder / name).is_file():
            what = "is a folder; name the files in it that count" if (folder / name).is_dir() else "is not there"
            raise SpecError(
                f"{name} {what}; allowed: files, seen from {folder}, the folder of the spec", key=("train", "files")
            )


def check_program(train: Train, folder: Path) -> None:
    """Raise SpecError unless the first word of the command can be run."""
    first = shlex.split(train.command)[0]
    path = folder / first
    if os.sep in first and path.is_file() and not os.access(path, os.X_OK):
        raise SpecError(f"{first} is not executable; chmod +x {first}, or put sh before it", key=("train", "command"))
    if shutil.which(str(path) if os.sep in first else first) is None:
        raise SpecError(
            f"there is no program {first} to run; activate the environment that has it, or give its path, such as "
            "/usr/bin/python3",
            key=("train", "command"),
        )


def stand_in(train: Train, folder: Path) -> Dataset:
    """Return what stands for the data of a script: no rows, and the checksum of its files.

    Raises:
        DataError: If one of them cannot be read.
    """
    images, labels = np.empty((0, 1, 1, 1), np.uint8), np.empty(0, np.int32)
    return Dataset(SCRIPT, images, labels, images, labels, num_classes=0, checksum=files_checksum(train, folder))


def files_checksum(train: Train, folder: Path) -> str:
    """Return the SHA-256, in hex, of the names and contents of the files that a script is known by."""
    digest = hashlib.sha256()
    for line in _digests(train, folder):
        digest.update(line.encode())
    return digest.hexdigest()


def metrics_needed(spec: Spec, run: RunSpec, purpose: Purpose) -> tuple[str, ...]:
    """Return the metrics of which a script must have written one at the end of a run; nothing is asked of other runs.

    Those are that of the verdict, in the runs of arms; of the validation rows, in those that find rates; of training, too, in
    range tests that confirm nothing.
    """
    if spec.train is None:
        return ()
    if Split.TEST in run.evaluated_splits:
        return (spec.verdict.metric,)
    validated = ("validation_loss", "validation_accuracy")
    own = validation_metric(spec)
    if purpose == "search":
        return validated if own is None else (*validated, own)
    return validated if spec.range_test.confirm else (*validated, "train_loss")


def told_arm(label: str, purpose: Purpose) -> str:
    """Return what a script is told as its arm: the arm itself where a rate of it is tried, `range-test` where a rate is found.

    A script that goes by its arm does then in every try what it does in the arm.
    """
    return {"runs": label, "search": arm_at_rate(label), "range test": RANGE_TEST_ARM}[purpose]


def validation_metric(spec: Spec) -> str | None:
    """Return what the metric of the verdict is called on validation rows, where it is one that only the script knows.

    That of `test_f1` is `validation_f1`, and that of `perplexity` `validation_perplexity`.
    """
    metric = spec.verdict.metric
    if spec.train is None or metric in METRICS:
        return None
    prefix = "validation_"
    return metric if metric.startswith(prefix) else f"{prefix}{metric.removeprefix('test_')}"


def _digests(train: Train, folder: Path) -> Iterator[str]:
    for name in sorted(train.named_files(folder)):
        try:
            with (folder / name).open("rb") as file:
                yield f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n"
        except OSError as err:
            raise DataError(
                f"{folder / name}: cannot be read ({err.strerror or err}); it is part of what a run of the script is known by"
            ) from err

"""Code of the user's own that a run elsewhere needs: packed here, and laid out there where it does not lie already."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from clrbench.errors import BackendError, ClrbenchError, DataError, SpecError
from clrbench.execution import scratch
from clrbench.execution.task import Task
from clrbench.files import disk_errors
from clrbench.own_code import imported_files
from clrbench.own_code.parcel import MAX_FOLDER_BYTES, MAX_FOLDER_FILES, Parcel, pack, pack_folder
from clrbench.planning.network import sources
from clrbench.planning.script import check_program, files_checksum
from clrbench.spec import OwnModel, RunSpec
from clrbench.spec.train import Train

_ADVICE = "it is sent to the machines that make the runs; make it readable"


@dataclass(frozen=True)
class SentCode:
    """What is told of code with a run: enough to know it where it lies already.

    Attributes:
        checksum: That of the parcel.
        source: SHA-256, in hex, of what the run is known by.
    """

    checksum: str
    source: str


def source_of(task: Task) -> str | None:
    """Return the SHA-256, in hex, of the code of the user's own that a run is known by; None where it has none."""
    if task.run.train is not None:
        return task.circumstances.data_checksum
    model = task.run.model
    return sources(model, task.library.place).digest() if isinstance(model, OwnModel) else None


def packed(task: Task) -> Parcel:
    """Return the code of a run that has some.

    That of a network is the files that it is known by, wherever they lie; that of a script the folder of the spec.

    Raises:
        DataError: If it cannot be read.
    """
    home, model = task.library.place, task.run.model
    with disk_errors(home, DataError, _ADVICE):
        if task.run.train is not None:
            results = (task.root, task.experiment or task.root)
            return _packed_script(task.run.train, home, results)
        if not isinstance(model, OwnModel):
            raise TypeError(f"{task.run_id} has no code of its own")
        return _packed_network(model, home)


def _packed_script(train: Train, home: Path, results: tuple[Path, ...]) -> Parcel:
    names = [name for name in train.named_files(home) if not Path(name).is_absolute()]
    named = [Path(os.path.normpath(home / name)) for name in names]
    whole = pack_folder(home, named, results)
    if whole is not None:
        return whole
    files = dict.fromkeys(
        [*named, *(other for path in named if path.suffix == ".py" for other in imported_files(path))]
    )
    return pack(home, {path: path for path in files})


def _packed_network(model: OwnModel, home: Path) -> Parcel:
    found = sources(model, home)
    source = model.function.rpartition(":")[0]
    # A module lies in the folder of the spec or is installed: there, it is found first.
    beside = Path(os.path.normpath((home / source).parent)) if source.endswith(".py") else home
    files: dict[Path, Path] = {}
    for path in (*found.code, *found.data):
        # By the name that it is asked for: on the way there may be links.
        place = beside / path.relative_to(found.root) if path.is_relative_to(found.root) else path
        files[place] = path
    for folder in {home, beside}:
        linked = (path for path in folder.iterdir() if path.is_symlink())
        files |= {path: path.resolve() for path in linked if path.resolve() in files.values()}
    return pack(home, files)


def settled(task: Task, sent: SentCode | None, fetch: Callable[[], Parcel] | None, warn: Callable[[str], None]) -> Task:
    """Return a run as this machine can make it: with the folder of its spec where its code lies.

    Args:
        task: The run.
        sent: What is known of its code; None where it has none.
        fetch: Returns the code as the process has it that asks for the run; None where both are on one machine.
        warn: Is told what may be missing.

    Raises:
        BackendError: If its code, or the program that runs it, is not there.
    """
    if sent is None:
        return task
    here = task if fetch is None or _is_here(task, sent) else _laid_out(task, sent, fetch, warn)
    if here.run.train is not None:
        try:
            check_program(here.run.train, here.library.place)
        except SpecError as err:
            raise BackendError(
                f"train.command: {err}; it is looked for on the machine that makes the run, as its Ray was started"
            ) from err
    return here


def _is_here(task: Task, sent: SentCode) -> bool:
    """Return whether the code lies here, in the same place as where the run is asked for, and is the same."""
    try:
        if task.run.train is not None:
            return files_checksum(task.run.train, task.library.place) == sent.source
        return source_of(task) == sent.source
    except (ClrbenchError, OSError):
        return False


_homes: dict[str, tuple[Path, bool]] = {}


def _laid_out(task: Task, sent: SentCode, fetch: Callable[[], Parcel], warn: Callable[[str], None]) -> Task:
    if sent.checksum not in _homes:
        parcel = fetch()
        place = scratch.new_folder("code")
        with disk_errors(place, BackendError, "it is where code is laid out that was sent; make room there"):
            _homes[sent.checksum] = parcel.lay_out(place), parcel.is_whole
    home, is_whole = _homes[sent.checksum]
    here = replace(task, library=task.library.beside(home), run=_seen_from(task))
    if task.run.train is not None and not is_whole:
        warn(
            f"the folder of the spec has more than {MAX_FOLDER_BYTES / 1e6:g} MB or {MAX_FOLDER_FILES} files; a machine that "
            "does not see it is sent only what train.command and train.files name, and what that imports; name what else the "
            "script needs"
        )
    if not _is_here(here, sent):
        raise BackendError(
            f"{task.run_id}: its code is not the same here as where the run was asked for; a file that it names by its whole "
            "path must lie there on every machine; name files from the folder of the spec"
        )
    return here


def _seen_from(task: Task) -> RunSpec:
    """Return the spec of a run, the whole path of a network's file written as it is seen from the folder of the spec."""
    run = task.run
    if not isinstance(run.model, OwnModel):
        return run
    source, _, function = run.model.function.rpartition(":")
    if not Path(source).is_absolute():
        return run
    reference = f"{os.path.relpath(source, task.library.place)}:{function}"
    return run.model_copy(update={"model": run.model.model_copy(update={"function": reference})})


def told_of(error: ClrbenchError, here: Task, task: Task) -> ClrbenchError:
    """Return an error that speaks of the folder of the spec, and not of where that lies for a while."""
    text = str(error).replace(str(here.library.place), str(task.library.place))
    return error if text == str(error) else type(error)(text)

"""Code of the user's own for a run elsewhere: used where it lies, laid out where it does not, refused where it differs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sent_code_samples import script_task
from tiny_runs import DATASET, HOW, RUN, TinyLibrary

from clrbench.errors import BackendError
from clrbench.execution import sent_code
from clrbench.execution.script import ScriptRun
from clrbench.execution.sent_code import SentCode, packed, settled, source_of, told_of
from clrbench.execution.session import Pace
from clrbench.execution.task import Task, make_task, script_run
from clrbench.own_code.parcel import Parcel
from clrbench.planning.network import sources
from clrbench.spec import OwnModel

NETWORK = (
    'from parts import layer\nWEIGHTS = "weights.txt"\ndef build(shape, classes):\n    return layer(shape, classes)\n'
)


def network_task(home: Path, function: str = "./net.py:build") -> Task:
    model = OwnModel.model_validate({"function": function})
    run = RUN.model_copy(update={"model": model})
    return make_task(run, DATASET, HOW, TinyLibrary(base=home), home / "results", Pace())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a spec with a network and a script."""
    folder = tmp_path / "home"
    (folder / "lib").mkdir(parents=True)
    (folder / "net.py").write_text(NETWORK)
    (folder / "parts.py").write_text("def layer(shape, classes):\n    return classes\n")
    (folder / "weights.txt").write_text("1 2 3")
    (folder / "train.sh").write_text("exit 0\n")
    (folder / "lib/not_named.txt").write_text("x")
    return folder.resolve()


Settle = Callable[..., Task]


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Settle:
    """Have a machine take a run over that was packed elsewhere; `lose` is called in between."""
    monkeypatch.setattr(sent_code, "_homes", {})

    def settle(task: Task, lose: Callable[[], object], warnings: list[str] | None = None) -> Task:
        parcel, source = packed(task), source_of(task)
        assert source is not None
        lose()
        told: list[str] = [] if warnings is None else warnings
        return settled(task, SentCode(parcel.checksum, source), lambda: parcel, told.append)

    return settle


def never() -> Parcel:
    raise AssertionError


def test_code_that_lies_here_and_is_the_same_is_not_fetched(home: Path) -> None:
    for task in (network_task(home), script_task(home)):
        source = source_of(task)
        assert source is not None
        assert settled(task, SentCode("", source), never, never) is task


@pytest.mark.parametrize("kind", ["gone", "another"])
def test_a_network_is_laid_out_with_all_that_it_is_made_of(home: Path, settle: Settle, kind: str) -> None:
    task = network_task(home)
    change = {"gone": lambda: shutil.rmtree(home), "another": lambda: (home / "parts.py").write_text("layer = max\n")}
    here = settle(task, change[kind])
    place = here.library.place
    assert place != home
    assert sorted(path.name for path in place.iterdir()) == ["net.py", "parts.py", "weights.txt"]
    assert isinstance(here.run.model, OwnModel)
    assert sources(here.run.model, place).digest() == source_of(here)
    assert here.identity == task.identity
    error = BackendError(f"{place}/net.py:build: no such layer")
    assert str(told_of(error, here, task)) == f"{home}/net.py:build: no such layer"


@pytest.mark.parametrize("function", ["{home}/net.py:build", "../home/net.py:build", "net:build", "./net.py:build"])
def test_a_network_is_found_however_it_is_named(home: Path, settle: Settle, function: str) -> None:
    base = home.parent / "specs"
    base.mkdir()
    base = home if function.startswith(("net", "./")) else base
    task = network_task(base, function.format(home=home))
    here = settle(task, lambda: shutil.rmtree(home))
    assert isinstance(here.run.model, OwnModel)
    assert sources(here.run.model, here.library.place).code[0].read_text() == NETWORK


def test_weights_behind_a_link_travel_under_their_name(home: Path, settle: Settle) -> None:
    (home / "weights.txt").rename(home.parent / "weights.txt")
    (home / "weights.txt").symlink_to(home.parent / "weights.txt")

    def lose() -> None:
        shutil.rmtree(home)
        (home.parent / "weights.txt").unlink()

    here = settle(network_task(home), lose)
    assert (here.library.place / "weights.txt").read_text() == "1 2 3"


def test_a_file_that_is_named_by_its_whole_path_must_lie_everywhere(home: Path, settle: Settle) -> None:
    weights = home.parent / "big.txt"
    weights.write_text("x")
    (home / "net.py").write_text(NETWORK.replace("weights.txt", str(weights)))

    def lose() -> None:
        shutil.rmtree(home)
        weights.unlink()

    with pytest.raises(BackendError, match="a file that it names by its whole path must lie there on every machine"):
        settle(network_task(home), lose)


def test_the_folder_of_a_script_is_laid_out_whole(home: Path, settle: Settle) -> None:
    here = settle(script_task(home), lambda: shutil.rmtree(home))
    assert (here.library.place / "lib/not_named.txt").read_text() == "x"
    assert here.run.train is not None
    assert isinstance(script_run(here, here.run.train, home), ScriptRun)


def test_of_a_folder_that_is_too_large_what_is_named_is_laid_out_and_that_is_said(
    home: Path, settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "train.py").write_text("import parts\n")
    monkeypatch.setattr(sent_code, "pack_folder", lambda *_: None)
    warnings: list[str] = []
    task = script_task(home, "sh train.py {seed}", ("weights.txt",))
    here = settle(task, lambda: shutil.rmtree(home), warnings)
    assert sorted(path.name for path in here.library.place.iterdir()) == ["parts.py", "train.py", "weights.txt"]
    (said,) = warnings
    assert "is sent only what train.command and train.files name" in said


def test_a_program_that_is_not_there_is_said(home: Path) -> None:
    task = script_task(home, "python3.99 train.sh")
    source = source_of(task)
    assert source is not None
    with pytest.raises(
        BackendError, match=r"train\.command: there is no program python3\.99 to run.*as its Ray was start"
    ):
        settled(task, SentCode("", source), never, never)


def test_code_is_laid_out_once_a_process(home: Path, settle: Settle) -> None:
    task = network_task(home)
    first = settle(task, lambda: shutil.rmtree(home))
    parcel_source = source_of(first)
    assert parcel_source is not None
    (checksum,) = sent_code._homes
    assert settled(task, SentCode(checksum, parcel_source), never, never).library.place == first.library.place

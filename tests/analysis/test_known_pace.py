"""What finished runs tell of the pace of a script."""

from pathlib import Path

from runs_in_memory import make_spec
from runs_on_disk import write_run

from clrbench.analysis.known_pace import seconds_a_step
from clrbench.store import ResultsFolder

ENDS = [0.5, 0.6, 0.7]


def lay_out(folder: ResultsFolder) -> ResultsFolder:
    """Write a run of the arms, of the search, of the shared range test and of that of an arm."""
    for place in (folder, folder.search(), folder.range_test(None), folder.range_test("clr")):
        write_run(place, "clr", 0, ENDS)
    return folder


def test_every_finished_run_of_an_experiment_tells_its_pace(tmp_path: Path) -> None:
    spec, folder = make_spec(), lay_out(ResultsFolder(tmp_path))
    (run,) = folder.indexed_runs()
    assert seconds_a_step(ResultsFolder(tmp_path / "none"), spec) is None
    assert seconds_a_step(folder, spec) == run.timing.train_seconds / run.updates_made
    own = ResultsFolder(tmp_path / "own")
    place = own.range_test("clr")
    write_run(place, "clr", 0, ENDS)
    assert seconds_a_step(own, spec) == run.timing.train_seconds / run.updates_made


def test_a_damaged_run_tells_nothing_and_hides_nothing_elsewhere(tmp_path: Path) -> None:
    spec, folder = make_spec(), lay_out(ResultsFolder(tmp_path))
    known = seconds_a_step(folder, spec)
    (damaged,) = (tmp_path / "runs").iterdir()
    (damaged / "run.json").write_text("{")
    assert seconds_a_step(folder, spec) == known

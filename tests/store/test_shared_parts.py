"""What thousands of runs have in common is held once."""

from pathlib import Path

from runs_on_disk import write_run

from clrbench.spec import RunSpec
from clrbench.store import ResultsFolder
from clrbench.store.run import read_run


def test_runs_hold_what_is_equal_once_and_what_differs_apart(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    names = [write_run(folder, arm, seed, [0.1, 0.2, 0.3]) for arm, seed in (("a", 0), ("a", 1), ("b", 0))]
    first, *others = (read_run(tmp_path / "runs" / name) for name in names)
    for other in others:
        assert other.provenance is first.provenance
        assert other.record.test_rows_by_class is first.record.test_rows_by_class
        for part in ("data", "model", "optimizer", "schedule"):
            assert getattr(other.spec, part) is getattr(first.spec, part)
    assert [(run.spec.arm, run.spec.seed) for run in (first, *others)] == [("a", 0), ("a", 1), ("b", 0)]
    assert first.spec == RunSpec.model_validate(first.spec.model_dump(mode="json", exclude_none=True))
    assert (
        first.spec.model_fields_set == RunSpec.model_validate(first.spec.model_dump(exclude_none=True)).model_fields_set
    )

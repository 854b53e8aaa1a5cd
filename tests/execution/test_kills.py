"""An experiment that is killed goes on where it was, and its tables do not show it; `make soak` is the long version."""

import random
from pathlib import Path

import pytest
from command_line import run_clrbench
from kills import Killer, command, leftovers, tables, write_kill_spec


@pytest.mark.parametrize(
    ("backend", "changes", "how"), [("torch", "momentum", "kill all"), ("keras", "stream", "kill parent")]
)
def test_tables_of_a_killed_experiment_are_those_of_one_that_never_was(
    tmp_path: Path, backend: str, changes: str, how: str
) -> None:
    spec = write_kill_spec(tmp_path, changes, backend, "60 epochs")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killer = Killer(spec, killed, command(hasty=True), random.Random(0))
    process = killer.start()
    killer.wait_until(lambda: len(list(killed.glob("quick/.checkpoints/*.json"))) > 0)
    killer.kill(process, how)
    kept = sorted(killed.glob("quick/.checkpoints/*.json"))
    assert kept
    # The last checkpoint of a run is torn: the one before it serves, if there is one.
    torn = kept[-1].with_suffix(".npz")
    torn.write_bytes(torn.read_bytes()[:-100])
    for out in (killed, whole):
        done = run_clrbench("compare", spec, "--out", out, "--quiet", folder=tmp_path, cold=True)
        assert done.returncode == 0, done.stderr
        assert ("is not what was written, by its checksum" in done.stderr) == (out == killed)
    assert len(tables(whole / "quick")) > 15
    assert tables(whole / "quick") == tables(killed / "quick")
    assert list(leftovers(killed / "quick")) == []

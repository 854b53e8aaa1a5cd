"""`--dry-run`: what an experiment would cost."""

from pathlib import Path

from command_line import Clrbench, answer, write_spec


def test_dry_run_says_what_it_would_cost_and_does_nothing(clrbench: Clrbench, tmp_path: Path) -> None:
    found = answer(clrbench("compare", write_spec(tmp_path), "--dry-run", "--json"))
    assert (found["num_runs"], found["num_steps"], found["detectable_sds"]) == (8, 640, None)
    assert not (tmp_path / "results").exists()
    done = clrbench("compare", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("demo: ")
    assert "Warning" not in done.stderr

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


def test_equal_arms_are_one_training(clrbench: Clrbench, tmp_path: Path) -> None:
    constant = {"schedule": {"name": "constant", "lr": 0.05}}
    arms = {"a": constant, "b": constant, "c": {"schedule": {"name": "constant", "lr": 0.06}}}
    planned = answer(clrbench("compare", write_spec(tmp_path, arms=arms), "--dry-run", "--json"))
    assert (planned["num_runs"], planned["num_steps"]) == (8, 640)


def test_arms_whose_rates_are_not_known_yet_are_no_arm_with_a_given_rate(clrbench: Clrbench, tmp_path: Path) -> None:
    arms = {
        "found": {"schedule": {"name": "constant", "lr": "range_test"}},
        "given": {"schedule": {"name": "constant", "lr": 0.03}},
    }
    changes = {"arms": arms, "range_test": {"seeds": 1, "confirm": False, "start_lr": 0.001, "end_lr": 1.0}}
    planned = answer(clrbench("compare", write_spec(tmp_path, **changes), "--dry-run", "--json"))
    assert planned["num_runs"] == 8 + 2  # the sweeps of two backends

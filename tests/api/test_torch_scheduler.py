"""The scheduler of a run for torch: it trains at the rates of the table, from a checkpoint on, too."""

from __future__ import annotations

import copy
import io
import re
from pathlib import Path

import pytest
import torch
from run_folder import write_run_folder

from clrbench.api.current_run import CurrentRun

RATES = (0.4, 0.3, 0.0, 0.2, 0.1)


@pytest.fixture
def run(tmp_path: Path) -> CurrentRun:
    return CurrentRun(write_run_folder(tmp_path, RATES))


def make_optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def train(
    optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler, updates: int
) -> list[list[float]]:
    """Make updates; return the rate of each group at each of them."""
    used = []
    for _ in range(updates):
        used.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return used


def test_groups_keep_their_ratio_and_those_at_0_stay_there(run: CurrentRun) -> None:
    optimizer = make_optimizer(0.5, 0.05, 0.0)
    used = train(optimizer, run.torch_scheduler(optimizer), 5)
    assert used == [pytest.approx([rate, rate / 10, 0.0]) for rate in RATES]


@pytest.mark.parametrize("rates", [(0.0,), (0.0, 0.1)])
def test_a_first_group_at_0_is_refused(rates: tuple[float, ...], run: CurrentRun) -> None:
    with pytest.raises(ValueError, match=r"first group of the optimizer has the rate 0, .* above 0"):
        run.torch_scheduler(make_optimizer(*rates))


@pytest.mark.parametrize("done", range(6))
def test_a_script_goes_on_where_it_was_stopped(done: int, run: CurrentRun) -> None:
    before = make_optimizer(0.5, 0.03)
    scheduler = run.torch_scheduler(before)
    whole = train(before, scheduler, done)
    kept = copy.deepcopy(before.state_dict()), copy.deepcopy(scheduler.state_dict())
    whole += train(before, scheduler, 5 - done)
    optimizer = make_optimizer(0.5, 0.03)
    optimizer.load_state_dict(kept[0])
    assert train(optimizer, run.torch_scheduler(optimizer, updates_done=done), 5 - done) == whole[done:]
    optimizer = make_optimizer(0.5, 0.03)
    by_its_state = run.torch_scheduler(optimizer)
    optimizer.load_state_dict(kept[0])
    by_its_state.load_state_dict(kept[1])
    assert train(optimizer, by_its_state, 5 - done) == whole[done:]


def test_the_state_of_a_scheduler_is_small_and_changes_no_rate_of_another_run(run: CurrentRun, tmp_path: Path) -> None:
    state = run.torch_scheduler(make_optimizer(0.5)).state_dict()
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    (tmp_path / "other").mkdir()
    other = CurrentRun(write_run_folder(tmp_path / "other", (1.0, 2.0)))
    other.torch_scheduler(make_optimizer(0.5)).load_state_dict(torch.load(file, weights_only=True))
    assert list(other.lr) == [1.0, 2.0]
    assert state["lr_lambdas"] == [None]


@pytest.mark.parametrize("done", [-1, 6, 1.5, True, "2"])
def test_updates_that_cannot_have_been_made_are_refused(done: object, run: CurrentRun) -> None:
    with pytest.raises(ValueError, match=rf"got updates_done {re.escape(str(done))}; allowed: 0 to 5"):
        run.torch_scheduler(make_optimizer(0.5), done)  # type: ignore[arg-type]

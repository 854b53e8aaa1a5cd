"""The rates of torch's own schedulers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from schedule_cases import (
    NUM_STEPS,
    MakeScheduler,
)


@pytest.fixture(scope="module")
def torch_rates() -> Callable[[float, MakeScheduler], list[float]]:
    """Collect the rate that each of 10,000 updates uses under a torch scheduler."""
    import torch

    def collect(lr: float, make_scheduler: MakeScheduler) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        scheduler = make_scheduler(torch.optim.lr_scheduler, optimizer)
        used = []
        for _ in range(NUM_STEPS):
            used.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return used

    return collect

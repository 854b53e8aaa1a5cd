"""The table of the arms of a backend, in words."""

import numpy as np
from runs_in_memory import results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.glance import glance
from clrbench.analysis.tables import analyse
from clrbench.report.standings import standings_table


def test_each_backend_is_shown_the_targets_that_follow_from_its_own_runs() -> None:
    runs = [
        stored_run(
            arm,
            seed,
            {5: level, 10: level + 0.02 + 0.001 * seed},
            backend=backend,
            hits=np.arange(1000) % 10 > 0,
            classes=np.arange(1000, dtype=np.int32) % 4,
        )
        for backend, level in (("torch", 0.9), ("keras", 0.5))
        for arm in ("constant", "clr")
        for seed in range(6)
    ]
    arms = {"constant": CONSTANT, "clr": CONSTANT}
    content = {"arms": arms, "seeds": 6, "backends": ("torch", "keras"), "targets": {"test_accuracy": "auto"}}
    answer = glance(analyse(results_of(runs, **content)))
    torch, keras = (standings_table(answer, backend) for backend in answer.backends)
    assert torch.targets != keras.targets
    for table in (torch, keras):
        assert len(table.targets) == 1
        assert all(row.times != ("-",) for row in table.rows)

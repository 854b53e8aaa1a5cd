"""What is said of a baseline whose rate a search has chosen."""

from __future__ import annotations

import pandas as pd
import pytest
from runs_in_memory import results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.search import CHOSEN_COLUMNS, SEARCH_COLUMNS, Search
from clrbench.analysis.tables import analyse
from clrbench.report.text import finding_warnings


@pytest.mark.parametrize(("chosen", "warned"), [(0.01, False), (0.03, True), (0.003, True)])
def test_a_baseline_that_is_tuned_is_too_low_only_where_its_best_rate_is_an_outermost_one(
    chosen: float, warned: bool
) -> None:
    tried = (0.003, 0.01, 0.03)
    rates = {"constant": chosen, "clr": 0.3}
    runs = [
        stored_run(arm, 0, {5: 0.7}, steps_per_epoch=2, schedule={"name": "constant", "lr": rate})
        for arm, rate in rates.items()
    ]
    rows = [("torch", "constant", rate, 10**6, 0.9 if rate == chosen else 0.8, 5, 0.1) for rate in tried]
    edge = chosen != 0.01
    choices = pd.DataFrame([("torch", "constant", 0.003, chosen, 3, edge, 15)], columns=list(CHOSEN_COLUMNS))
    search = Search((), pd.DataFrame(rows, columns=list(SEARCH_COLUMNS)), choices, ())
    arms = {"constant": {"schedule": {"name": "constant", "lr": list(tried)}}, "clr": CONSTANT}
    results = results_of(runs, search, arms=arms, seeds=1)
    found = [text for text in finding_warnings(analyse(results)) if "baseline constant trains" in text]
    assert bool(found) == warned

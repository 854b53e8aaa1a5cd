"""Whether the runs of a pair start alike, as they must to be one: seen in the first loss of a script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from clrbench.analysis.pairs import Contest, contests, paired_seeds, runs_by_key
from clrbench.analysis.results import Results
from clrbench.spec.train import SCRIPT
from clrbench.store import RunKey, StoredRun

ALIKE = 1e-5
"""Largest relative difference of two first losses that other arithmetic alone makes; see `reruns.ROUNDING`."""

Pairing: TypeAlias = Literal["seen", "not seen", "differ"]
"""Both runs of every seed start at the same loss; some do not say at which; or some start at another one."""


@dataclass(frozen=True)
class Start:
    """A row of starts.csv: how the runs of two arms start.

    Attributes:
        pairing: Whether they start alike; the test is that of pairs where that is seen, and else that of two samples.
        seeds: How many seeds both arms have.
        seed: The first seed whose runs do not start alike, or do not say so; -1 where there is none.
        candidate_loss: Loss of the candidate's first mini-batch, before its update, of that seed; nan where it is not known.
        baseline_loss: Likewise of the baseline.
        same_for_all_seeds: Whether all seeds start at one and the same loss, as if the script did not use them.
    """

    backend: str
    candidate: str
    baseline: str
    pairing: str
    seeds: int
    seed: int
    candidate_loss: float
    baseline_loss: float
    same_for_all_seeds: bool


START_COLUMNS = tuple(field.name for field in fields(Start))


def starts(results: Results) -> dict[Contest, Start]:
    """Return how the runs of each comparison start, where scripts make them; our own runs start alike by construction."""
    return {contest: _start(results, contest) for contest in contests(results) if contest.backend == SCRIPT}


def is_paired(results: Results, contest: Contest) -> bool:
    """Return whether the differences of a comparison are those of pairs."""
    start = results.once(starts).get(contest)
    return start is None or start.pairing == "seen"


def starts_table(results: Results) -> pd.DataFrame | None:
    """Return starts.csv; None where no script trains."""
    if results.spec.train is None:
        return None
    return pd.DataFrame([asdict(one) for one in results.once(starts).values()], columns=list(START_COLUMNS))


def _start(results: Results, contest: Contest) -> Start:
    runs, seeds = results.once(runs_by_key), results.once(paired_seeds)[contest]
    losses = {seed: [_first_loss(runs[RunKey(contest.backend, arm, seed)]) for arm in contest[1:]] for seed in seeds}
    apart = next((seed for seed, both in losses.items() if _differ(both)), None)
    unseen = next((seed for seed, both in losses.items() if not np.isfinite(both).all()), None)
    seed = apart if apart is not None else unseen
    pairing: Pairing = "differ" if apart is not None else "seen" if unseen is None else "not seen"
    shown = [math.nan, math.nan] if seed is None else losses[seed]
    return Start(
        *contest,
        pairing=pairing,
        seeds=len(seeds),
        seed=-1 if seed is None else seed,
        candidate_loss=shown[0],
        baseline_loss=shown[1],
        same_for_all_seeds=len(seeds) > 1 and _are_all_one(list(losses.values())),
    )


def _are_all_one(losses: Sequence[Sequence[float]]) -> bool:
    """Return whether the runs of each arm start at one loss, whatever their seed; losses are those of both arms, seed by seed."""
    return all(all(map(math.isfinite, of_arm)) and not _differ(of_arm) for of_arm in zip(*losses, strict=True))


def _first_loss(run: StoredRun) -> float:
    return float(run.steps["train_loss"].iloc[0])


def _differ(losses: Sequence[float]) -> bool:
    """Return whether losses are not all the same, as far as they are known; unknown ones differ from nothing."""
    known = [loss for loss in losses if math.isfinite(loss)]
    return bool(known) and max(known) - min(known) > ALIKE * max(map(abs, known))

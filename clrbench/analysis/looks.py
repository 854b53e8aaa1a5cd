"""How often a verdict was looked at, what that costs it, and which seeds it leaves out that were looked at before."""

from collections.abc import Sequence
from dataclasses import replace

from clrbench.analysis.pairs import Contest, differences_table, mixed_pairs, paired_seeds, runs_by_key
from clrbench.analysis.results import LookedAt, Results
from clrbench.files import checksum
from clrbench.spec.train import SCRIPT
from clrbench.stats import pairs_needed
from clrbench.store import Look, ResultsFolder, RunKey
from clrbench.unpaired import runs_needed

RISK_OVER_LOOKS = 1.4
"""The risk of a false "better" or "worse" over several looks is at most about this many times alpha; simulated, note 0029."""


def looked_at(results: Results, folder: ResultsFolder) -> Results:
    """Record that the verdict of each backend is now looked at; return the results with what the looks so far cost it.

    Raises:
        ResultsError: If the disk does not take it.
    """
    shown = [_look(results, backend) for backend in results.backends]

    def add_all(earlier: tuple[Look, ...]) -> tuple[Look, ...]:
        for look in shown:
            earlier = with_look(earlier, look)
        return earlier

    recorded = folder.record_looks(add_all)
    looks = {}
    for look in shown:
        (found,) = (one for one in recorded if one.is_same_as(look))
        seeds = {seed for one in recorded if one.backend == look.backend for seed in one.shown_seeds}
        looks[look.backend] = LookedAt(found.index, frozenset(seeds))
    return results.with_looks(looks)


def with_look(earlier: tuple[Look, ...], look: Look) -> tuple[Look, ...]:
    """Return the looks with one more, with its index and status; one that was charged already costs nothing again.

    The index is one more than the number of looks before it that count: those that were charged, those at an experiment
    that was not finished then and was not finished as planned either, and one for each other metric that free looks
    were at.
    """
    before = next((one for one in earlier if one.is_same_as(look)), None)
    if before is not None and before.status == "charged":
        return earlier
    others = tuple(one for one in earlier if one.backend == look.backend and one is not before)
    look = replace(look, index=1 + _num_counted(others, look))
    if look.num_pairs < _runs_to_decide(look):
        look = replace(look, status="free")
    return (*earlier, look) if before is None else tuple(look if one is before else one for one in earlier)


def _runs_to_decide(look: Look) -> int:
    """Return how many runs a side could have decided anything; those of a script may turn out to be no pairs."""
    question = look.alpha / look.index, max(1, len(look.comparisons))
    return min(pairs_needed(*question), runs_needed(*question)) if look.backend == SCRIPT else pairs_needed(*question)


def left_out_seeds(results: Results, contest: Contest) -> list[int]:
    """Return the seeds that were looked at before and that a comparison now leaves out, though they were finished."""
    looked = results.look_of(contest.backend).seeds
    mixed = {pair.seed for pair in results.once(mixed_pairs) if pair.contest == contest}
    return sorted(looked - set(results.spec.seeds) | looked & mixed)


def unasked_seeds(results: Results) -> dict[str, list[int]]:
    """Return, by backend, the seeds of finished pairs that the spec does not ask for and that no look is known to have shown."""
    found: dict[str, list[int]] = {}
    for backend in results.backends:
        pairs = {
            key.seed
            for key in results.stored_keys
            for candidate, baseline in results.comparisons
            if key[:2] == (backend, candidate) and key._replace(arm=baseline) in results.stored_keys
        }
        shown = results.look_of(backend).seeds
        if seeds := sorted(pairs - shown - set(results.spec.seeds)):
            found[backend] = seeds
    return found


def said_verdict(word: str, *, left_out: Sequence[int], num_missing_runs: int) -> str:
    """Return the verdict that may be said where the numbers give this word.

    Nothing is decided before the runs are finished, nor while seeds that were looked at are left out.
    """
    if num_missing_runs:
        return "cannot tell"
    return "no difference shown" if left_out and word != "cannot tell" else word


def risk_over_looks(alpha: float, index: int) -> float:
    """Return about the risk of a false "better" or "worse" that the looks so far leave, at most 1.

    Args:
        alpha: Level of the verdict, as the spec has it.
        index: Index of the look, from 1.
    """
    return alpha if index == 1 else min(1.0, RISK_OVER_LOOKS * alpha)


def _num_counted(others: Sequence[Look], look: Look) -> int:
    charged = [one for one in others if one.status == "charged"]
    kept_plans = {look.plan, *(one.plan for one in charged)}
    abandoned = [one for one in others if one.status == "pending" and one.plan not in kept_plans]
    paid_metrics = {look.metric, *(one.metric for one in (*charged, *abandoned))}
    return len(charged) + len(abandoned) + len({one.metric for one in others if one.status == "free"} - paid_metrics)


def _look(results: Results, backend: str) -> Look:
    """Return what is now shown of the verdict of a backend, as if it were the first look."""
    spec, verdict = results.spec, results.spec.verdict
    mixed = {pair.seed for pair in results.once(mixed_pairs) if pair.contest.backend == backend}
    shown = {run.key.seed for run in results.compared_runs if run.key.backend == backend}
    return Look(
        backend=backend,
        metric=verdict.metric,
        margin=verdict.margin,
        alpha=verdict.alpha,
        asked_seeds=tuple(sorted(spec.seeds)),
        comparisons=tuple(f"{candidate} - {baseline}" for candidate, baseline in results.comparisons),
        shown_seeds=tuple(sorted(shown - mixed)),
        runs=_runs_digest(results, backend),
        num_pairs=_num_pairs(results, backend),
        status="pending" if results.num_missing_runs else "charged",
    )


def _runs_digest(results: Results, backend: str) -> str:
    """Return a SHA-256 of which runs are compared with which; renaming an arm, or the two changing sides, changes nothing."""
    runs, seeds = results.once(runs_by_key), results.once(paired_seeds)
    compared = [
        [(seed, *sorted(runs[RunKey(backend, arm, seed)].record.identity for arm in contest[1:])) for seed in found]
        for contest, found in seeds.items()
        if contest.backend == backend
    ]
    return checksum(repr(sorted(map(sorted, compared))).encode())


def _num_pairs(results: Results, backend: str) -> int:
    table = results.once(differences_table)
    of_verdict = table[(table["backend"] == backend) & (table["metric"] == results.spec.verdict.metric)]
    counts = of_verdict.groupby(["candidate", "baseline"]).size()
    return int(counts.max()) if len(counts) else 0

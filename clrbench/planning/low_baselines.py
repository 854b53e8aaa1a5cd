"""Baselines that train at so low a rate that they may lose by it alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from clrbench.planning.runs import lr_table
from clrbench.planning.tuning import labelled_arm
from clrbench.spec import Clock, Spec

MAX_RATIO = 10**0.5
"""Half a decade: by so much the mean rate of a candidate may lie above that of its baseline."""


@dataclass(frozen=True)
class MeanRates:
    """The mean rate of a candidate and that of its baseline, each over the updates of a run; nan where there is no run."""

    candidate: str
    baseline: str
    candidate_lr: float
    baseline_lr: float

    @property
    def ratio(self) -> float:
        """How many times as high the candidate's is."""
        return self.candidate_lr / self.baseline_lr


def is_known(spec: Spec, label: str) -> bool:
    """Return whether the spec alone says at which rates an arm trains; else a range test or a search finds them."""
    return label not in spec.tuned_arms and not spec.arms[labelled_arm(spec, label)].schedule.needs_range_test


def planned_mean_rates(
    spec: Spec, comparisons: Iterable[tuple[str, str]], clocks: Mapping[str, Clock]
) -> Iterator[MeanRates]:
    """Yield the mean rates of each comparison, as far as the spec alone says them."""

    def mean_rate(label: str) -> float:
        name = labelled_arm(spec, label)
        return float(lr_table(spec.resolved_arm(name), clocks[name]).mean())

    for candidate, baseline in comparisons:
        if is_known(spec, candidate) and is_known(spec, baseline):
            yield MeanRates(candidate, baseline, mean_rate(candidate), mean_rate(baseline))


def low_baseline_warnings(spec: Spec, means: Iterable[MeanRates]) -> Iterator[str]:
    """Yield a sentence for each baseline that lies more than half a decade below a candidate with the same optimizer."""
    by_baseline: dict[str, list[MeanRates]] = {}
    for mean in means:
        arms = (spec.resolved_arm(labelled_arm(spec, label)) for label in (mean.candidate, mean.baseline))
        # The rates of two optimizers have no common scale.
        if mean.ratio > MAX_RATIO and len({arm.optimizer.name for arm in arms}) == 1:
            by_baseline.setdefault(mean.baseline, []).append(mean)
    for baseline, found in by_baseline.items():
        candidates = ", ".join(
            f"{mean.candidate} ({mean.candidate_lr:.3g}, {mean.ratio:.3g} times as high)" for mean in found
        )
        yield (
            f"baseline {baseline} trains at a mean rate of {found[0].baseline_lr:.3g}, more than half a decade below "
            f"{candidates}: it may lose by its rate alone{_doubt(spec)}; {_advice(spec, baseline)}"
        )


def _doubt(spec: Spec) -> str:
    """Return what the rates of a script may be that cannot be seen."""
    return "" if spec.train is None else ", if the script uses one optimizer for both"


def _advice(spec: Spec, baseline: str) -> str:
    arm = labelled_arm(spec, baseline)
    if arm != baseline:
        return f"go by the verdict against {arm}, which is tuned"
    if arm in spec.tuned_arms:
        return "list higher rates for it, unless search.csv shows that such were tried"
    key = spec.arms[arm].schedule.rate_key
    return f"tune it ({key}: [...]), or give it a higher rate" if key else "give it higher rates"

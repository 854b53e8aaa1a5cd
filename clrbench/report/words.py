"""How each fact is put into words: one formatter a fact, for the terminal, the page, captions and alternative texts."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pandas as pd

from clrbench.analysis.collapse import ArmCollapse
from clrbench.analysis.comparison import Comparison, Evidence, Reason
from clrbench.analysis.metrics import is_accuracy
from clrbench.analysis.starts import Start
from clrbench.counted import counted
from clrbench.planning.runs import split_of
from clrbench.stats import pairs_needed
from clrbench.unpaired import runs_needed

MAX_LISTED_SEEDS = 8


def plain(name: str) -> str:
    """Return the name of a column as plain words, such as `test accuracy`."""
    return name.replace("_", " ")


def capitalised(name: str) -> str:
    """Return the name of a column as the first words of a sentence."""
    return plain(name).capitalize()


def rows_words(metric: str) -> str:
    """Return what the rows that a metric is measured on are called, such as `test rows`; `rows` where its name does not say."""
    return " ".join(filter(None, [split_of(metric), "rows"]))


def capital(clause: str) -> str:
    """Return a clause with a capital at its start, as a sentence has it."""
    return clause[:1].upper() + clause[1:]


def metric_unit(metric: str, *, own: bool = False) -> str:
    """Return the unit of a metric by its column name; of all but accuracies it is not known where a script has its `own`."""
    if is_accuracy(metric):
        return "fraction"
    return "" if own or not metric.endswith("loss") else "nats"


def unit_label(metric: str, *, own: bool) -> str:
    """Return the unit of a metric as it follows a name on an axis, such as ` (nats)`; empty where it is not known."""
    unit = metric_unit(metric, own=own)
    return f" ({unit})" if unit else ""


def metric_label(metric: str, *, own: bool = False) -> str:
    """Return the name of a metric with its unit, for an axis."""
    return f"{plain(metric)}{unit_label(metric, own=own)}"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def baseline_words(baseline: str, *, untuned: bool) -> str:
    """Return the name of a baseline, and that it is untuned where it is."""
    return f"{baseline} (untuned)" if untuned else baseline


def rate_words(rate: float) -> str:
    """Return a learning rate with every digit that float32 holds."""
    return f"{rate:.9g}"


class FoundRates(Protocol):
    """The rates that a range test found, each None where it is not known."""

    @property
    def base_lr(self) -> float | None:
        """Rate at which learning starts."""

    @property
    def triangle_base_lr(self) -> float | None:
        """Where cycles begin, also where `base_lr` is not known."""

    @property
    def max_lr(self) -> float | None:
        """Upper bound of cycles."""

    @property
    def constant_lr(self) -> float | None:
        """The constant rate."""


def range_test_words(found: FoundRates) -> str:
    """Return the rates of a range test, which has an answer: `base_lr 0.01, max_lr 0.3, constant 0.1`."""
    base = f"base_lr {found_rate_words(found.base_lr)}"
    if found.base_lr is None:
        base = f"base_lr unknown ({found_rate_words(found.triangle_base_lr)} used)"
    return f"{base}, max_lr {found_rate_words(found.max_lr)}, constant {found_rate_words(found.constant_lr)}"


def found_rate_words(rate: float | None) -> str:
    """Return a rate that was searched for, in the three digits that a search settles."""
    return "not known" if rate is None else f"{rate:.3g}"


def level_words(alpha: float) -> str:
    """Return the confidence that goes with a risk, such as `95 %`."""
    return f"{100 * (1 - alpha):g} %"


def interval_heading(alphas: Mapping[str, float]) -> str:
    """Return how intervals are headed by the risk on each backend: `95 % CI`, or `CI (torch 95 %, keras 97.5 %)`."""
    levels = {backend: level_words(alpha) for backend, alpha in alphas.items()}
    if len(set(levels.values())) == 1:
        return f"{next(iter(levels.values()))} CI"
    return f"CI ({', '.join(f'{backend} {level}' for backend, level in levels.items())})" if levels else "CI"


def margin_words(margin: float | None) -> str:
    """Return the margin of a verdict, such as `margin 0.001`, or that there is none."""
    return "no margin" if margin is None else f"margin {margin:g}"


def seeds_words(seeds: Iterable[int]) -> str:
    """Return which seeds, as briefly as possible: `seed 3`, `seeds 0 to 9`; empty for none."""
    found = sorted({int(seed) for seed in seeds})
    if len(found) <= 1:
        return "".join(f"seed {seed}" for seed in found)
    listed = listed_seeds(found)
    return f"{counted(len(found), 'seed')} {listed}" if listed.startswith("between") else f"seeds {listed}"


def listed_seeds(seeds: Sequence[int]) -> str:
    """Return ascending seeds without the noun: `0 to 9`, `0, 4, 9`, or `between 0 and 38` where they are too many."""
    first, last = seeds[0], seeds[-1]
    if list(seeds) == list(range(first, last + 1)):
        return f"{first} to {last}"
    return f"between {first} and {last}" if len(seeds) > MAX_LISTED_SEEDS else ", ".join(map(str, seeds))


def target_words(metric: str, target: float, *, higher: bool) -> str:
    """Return a target as a condition, such as `test accuracy at least 0.97`; `higher` is whether more is better."""
    return f"{plain(metric)} at {'least' if higher else 'most'} {target:g}"


class ComparisonWords(NamedTuple):
    """A comparison in words: `+0.0040`, `+0.0026 to +0.0054` or `unbounded`, `p = 0.0312`, `6 pairs`, `6 won, ...`."""

    difference: str
    ends: str
    p_value: str
    pairs: str
    counts: str


def comparison_words(comparison: Comparison) -> ComparisonWords:
    """Return a comparison in words."""
    low, high = comparison.ci_low, comparison.ci_high
    return ComparisonWords(
        difference=f"{comparison.mean_difference:+.4f}",
        ends=f"{low:+.4f} to {high:+.4f}" if math.isfinite(low) else "unbounded",
        p_value=f"p = {comparison.p_value:.3g}",
        pairs=counted(comparison.pairs, "pair"),
        counts=f"{comparison.wins} won, {comparison.ties} tied, {comparison.losses} lost",
    )


NOT_PAIRED = "-"
"""Stands for what only pairs have."""


def samples_words(candidate_runs: int, baseline_runs: int) -> str:
    """Return how many runs two samples have that are no pairs, such as `7 against 5 runs`."""
    return f"{candidate_runs} against {counted(baseline_runs, 'run')}"


def won_words(comparison: Comparison, *, paired: bool) -> str:
    """Return how many pairs were won, tied and lost, such as `5, 0, 1`; `-` where the runs are no pairs."""
    return f"{comparison.wins}, {comparison.ties}, {comparison.losses}" if paired else NOT_PAIRED


def valued_runs(summary: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return how many runs of each backend and arm of summary.csv or given.csv have a value where two samples are compared.

    These are the runs that did not diverge: samples are compared where a script trains, of which no blind guess is known.
    """
    names = zip(summary["backend"], summary["arm"], strict=True)
    return dict(zip(names, map(int, summary["runs"] - summary["diverged"]), strict=True))


_VERDICT_CLAUSES = {
    "better": "{candidate} beats {baseline}",
    "worse": "{baseline} beats {candidate}",
    "equivalent": "{candidate} and {baseline} are equivalent",
    "no difference shown": "no difference shown between {candidate} and {baseline}",
    "cannot tell": "cannot tell {candidate} from {baseline}",
}


def verdict_clause(verdict: str, candidate: str, baseline: str) -> str:
    """Return what one comparison came to, such as `clr beats constant`, as a clause."""
    return _VERDICT_CLAUSES[verdict].format(candidate=candidate, baseline=baseline)


def begun(clause: str) -> str:
    """Return a clause about verdicts as a sentence begins: with a capital, unless with the name of an arm."""
    return capital(clause) if clause.startswith(("no difference ", "cannot tell ")) else clause


def p_label(comparisons: int) -> str:
    """Return what a p-value is called that is adjusted over so many comparisons."""
    return "Holm p" if comparisons > 1 else "p"


def collapse_remarks(arms: Sequence[ArmCollapse]) -> Iterator[str]:
    """Yield each arm of which a run collapsed."""
    for arm in arms:
        # Those that all diverged are named as such; see `divergences`.
        if arm.collapsed > arm.diverged:
            diverging = f" ({arm.diverged} diverged)" if arm.diverged else ""
            yield (
                f"{arm.collapsed} of {counted(arm.runs, 'run')} of {arm.arm} collapsed{diverging}: no better than the majority "
                f"class ({100 * arm.blind_accuracy:.3g} %, incl. error)."
            )


def unseen_collapse(arms: Sequence[ArmCollapse]) -> Iterator[str]:
    """Yield, once, how often arms may collapse without having been seen to."""
    # Of a script it is not known what a blind guess reaches, and so not what a collapse is.
    kept = [arm for arm in arms if not arm.collapsed and math.isfinite(arm.blind_accuracy)]
    if kept:
        fewest = min(kept, key=lambda arm: arm.runs)
        which = "other run" if len(kept) < len(arms) else "run"
        yield (
            f"No {which} collapsed; {counted(fewest.runs, 'run')} of an arm cannot rule out a collapse rate of up "
            f"to {100 * fewest.possible_rate:.0f} %."
        )


def no_verdict(row: Comparison, evidence: Evidence, reason: Reason) -> str:
    """Return why a comparison comes to no verdict, in one sentence; empty while runs are missing, which is said elsewhere."""
    if reason == "unfinished":
        return ""
    if reason == "too few":
        needed = pairs_needed if evidence.paired else runs_needed
        return f"A verdict would take at least {counted(needed(evidence.alpha, evidence.comparisons), 'seed')}."
    left = "in other pairs, so the remaining pairs" if evidence.paired else "too, so the remaining runs"
    why = {
        "one start": "all seeds show the same difference, as if a single run per arm were repeated",
        "diverged": f"runs diverged {left} cannot support a verdict",
        "collapsed": "its interval lies within the margin, but a run collapsed",
    }
    return f"No verdict on {row.candidate}: {why[reason]}."


def starts_words(found: Sequence[Start]) -> Iterator[str]:
    """Yield how the runs of comparisons start, in one sentence where all of them start alike."""
    if len(found) > 1 and all(one.pairing == "seen" and not one.same_for_all_seeds for one in found):
        yield "Paired: yes (all arms start each seed at the same loss)."
    else:
        yield from dict.fromkeys(map(start_words, found))


def start_words(start: Start) -> str:
    """Return how the runs of a comparison start, and what follows for the test."""
    versus = f"{start.candidate} and {start.baseline}"
    unused = " All seeds start at the same loss: does the script use its seed?" if start.same_for_all_seeds else ""
    if start.pairing == "seen":
        return f"Paired: yes ({versus} start each seed at the same loss).{unused}"
    how = (
        f"with seed {start.seed}, {start.candidate} starts at a loss of {start.candidate_loss:.6g} and {start.baseline} at "
        f"{start.baseline_loss:.6g}"
    )
    if start.pairing == "not seen":
        how = f"the script writes no train_loss for step 1, so whether {versus} start alike is not known"
    return f"Not paired: {how}; the test is an exact two-sample permutation test.{unused}"


@dataclass(frozen=True)
class Divergence:
    """How many runs of an arm diverged on a backend: at least one."""

    backend: str
    arm: str
    runs: int
    diverged: int

    @property
    def sentence(self) -> str:
        """The same in words, such as `torch: 2 of 6 runs of clr diverged`."""
        return f"{self.backend}: {self.clause}"

    @property
    def clause(self) -> str:
        """The same without the backend."""
        return f"{self.diverged} of {counted(self.runs, 'run')} of {self.arm} diverged"

    @property
    def of_all(self) -> bool:
        """Whether every run diverged."""
        return self.diverged == self.runs


def divergences(summary: pd.DataFrame) -> Iterator[Divergence]:
    """Yield each backend and arm of summary.csv or given.csv of which a run diverged."""
    for row in summary.to_dict("records"):
        if row["diverged"]:
            yield Divergence(row["backend"], row["arm"], row["runs"], row["diverged"])


def divergence_rule(metric: str, *, own: bool = False) -> str:
    """Return what diverged runs count as in the difference of a metric, as a clause that follows `Divergence.sentence`.

    What a blind guess reaches is not known where a script has metrics of its `own`.
    """
    if is_accuracy(metric) and not own:
        return "in accuracy they count as a blind guess"
    return "their pairs are left out of the difference"


def divergence_caption(summary: pd.DataFrame, consequence: str) -> str:
    """Return which runs diverged and what follows from it, if anything, for a caption; empty where none did."""
    sentences = ", ".join(divergence.sentence for divergence in divergences(summary))
    return f"{sentences}; {consequence}" if sentences and consequence else sentences


@dataclass(frozen=True)
class OneClass:
    """A row of one_class.csv: how many runs of an arm end with one class for every test row; `share` is that of the class."""

    backend: str
    arm: str
    answered: int
    runs_of_one_class: int
    runs: int
    diverged: int
    share: float

    @property
    def sentence(self) -> str:
        """The same in words, without the backend, such as `every run of constant gives class 0 to every test row (...)`."""
        which = f"{self.runs_of_one_class} of {counted(self.runs, 'run')} of {self.arm}"
        if self.runs_of_one_class == self.runs - self.diverged:
            which = f"every run of {self.arm}{' that did not diverge' if self.diverged else ''}"
        verb = "predict" if self.runs_of_one_class > 1 and not which.startswith("every") else "predicts"
        return (
            f"{which} {verb} class {self.answered} for all test rows (test accuracy {100 * self.share:.4g} %, that "
            "class's share)"
        )

"""What each claim of the articles came to: a table whose every number comes from a committed CSV, in full and in short."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from another_processor import effect, findings

RESULTS = Path(__file__).parents[1] / "results"
KERAS_ARTICLE = "*Implementing Cyclic Learning Rates in Keras*"
SVHN_ARTICLE = "*Scheduling learning rate to improve model performance*"
TUTORIAL = "*The amazing Cycling Learning Rate technique*"
PAPER = "[Smith 2017](https://arxiv.org/abs/1506.01186)"


@dataclass(frozen=True)
class Claim:
    """A claim.

    Attributes:
        claim: In the words of where it comes from, or close to them.
        outcome: Says what came out, with numbers.
        short: Says claim and outcome in a few words, for README; None where it has no place there.
        files: Where the numbers stand, below `results/`.
    """

    claim: str
    source: str
    outcome: Callable[[], str]
    short: tuple[str, Callable[[], str]] | None
    files: tuple[str, ...]


def table(experiment: str, name: str) -> pd.DataFrame:
    """Return a committed table."""
    return pd.read_csv(RESULTS / experiment / f"{name}.csv")


def effects(experiment: str, candidate: str, baseline: str, metric: str = "test_accuracy") -> str:
    """Return difference, interval and verdict on each backend, in points of accuracy or in nats."""
    rows = _compared(experiment, candidate, baseline, metric).to_dict("records")
    return ", ".join(f"{row['backend']} {effect(row)}" for row in rows)


def verdicts(experiment: str, candidate: str, baseline: str, metric: str = "test_accuracy") -> str:
    """Return the verdict on all backends and both processors; where they differ, what holds on all, or that of each backend."""
    rows = _compared(experiment, candidate, baseline, metric)
    again = findings()
    keys = ["experiment", "metric", "candidate", "baseline"]
    again = again[(again[keys] == [experiment, metric, candidate, baseline]).all(axis=1)]
    words = {*rows["verdict"], *again["verdict"]}
    if len(words) == 1:
        return str(words.pop())
    if "better" not in words:
        return "not better"
    return ", ".join(f"{backend} {verdict}" for backend, verdict in zip(rows["backend"], rows["verdict"], strict=True))


def _compared(experiment: str, candidate: str, baseline: str, metric: str) -> pd.DataFrame:
    rows = table(experiment, "comparison")
    found = rows[(rows[["metric", "candidate", "baseline"]] == [metric, candidate, baseline]).all(axis=1)]
    if found.empty:
        raise ValueError(f"{experiment}: {candidate} is not compared with {baseline} in {metric}")
    return found


def each(experiment: str, name: str, column: str, form: str, **where: str) -> str:
    """Return a number of a table for each backend, such as `keras 4, torch 6.5`."""
    rows = table(experiment, name)
    for key, value in where.items():
        rows = rows[rows[key].astype(str) == value]
    if rows.empty:
        raise ValueError(f"{experiment}: {name}.csv has no row with {where}")
    return _by_backend(
        [(str(row["backend"]), f"{row[column]:{form}}".replace("%", " %")) for row in rows.to_dict("records")]
    )


def _by_backend(said: Sequence[tuple[str, str]]) -> str:
    """Return what is said of each backend, once where it is the same of all."""
    if len(said) > 1 and len({words for _, words in said}) == 1:
        return said[0][1]
    return ", ".join(f"{backend} {words}" for backend, words in said)


def times_as_long(experiment: str, arm: str, other: str) -> str:
    """Return how many times as long an arm trained as another of the same seed, the median of the pairs of each backend."""
    runs = table(experiment, "timing").query("purpose == 'run'")
    seconds = runs.pivot(index=["backend", "seed"], columns="arm", values="train_seconds")
    medians = (seconds[arm] / seconds[other]).groupby("backend").median()
    return _by_backend([(str(backend), f"{ratio:.1f}") for backend, ratio in medians.items()])


def elsewhere(experiment: str, candidate: str, metric: str = "test_accuracy") -> str:
    """Return difference, interval and verdict against the first baseline on each backend of another processor."""
    found = findings()
    rows = found[(found[["experiment", "metric", "candidate"]] == [experiment, metric, candidate]).all(axis=1)]
    return ", ".join(f"{row['backend']} {effect(row)}" for row in rows.to_dict("records"))


def optimizers_won(schedule: str) -> str:
    """Return with how many optimizers of `optimizers` a schedule beats the constant rate, such as `4 of 5`."""
    rows = table("optimizers", "comparison").query("metric == 'test_accuracy'")
    verdicts_of = rows.loc[rows["candidate"].str.endswith(f"_{schedule}"), "verdict"]
    return f"{(verdicts_of == 'better').sum()} of {len(verdicts_of)}"


def constants_won() -> str:
    """Return how many of the other constants of `constant-rates` beat the one that the range test chose, on any backend."""
    rows = table("constant-rates", "comparison").query("metric == 'test_accuracy' and candidate != 'clr'")
    better = rows.loc[rows["verdict"] == "better", "candidate"].nunique()
    return f"{better or 'none'} {'are' if better > 1 else 'is'}"


def losses(experiment: str, candidate: str, baseline: str, metric: str) -> str:
    """Return how many pairs a candidate lost on each backend."""
    rows = _compared(experiment, candidate, baseline, metric)
    return _by_backend([(str(row["backend"]), f"{row['losses']} of {row['pairs']}") for row in rows.to_dict("records")])


def median_epochs(arm: str, kind: str = "first") -> str:
    """Return the epochs that an arm of mnist-fair took to 97.5 %: to get there first, or to stay there (`sustained`)."""
    column, who = ("baseline_median_epochs", "clr") if arm == "constant" else ("candidate_median_epochs", arm)
    return each("mnist-fair", "time_to_target", column, "g", candidate=who, target="0.975", kind=kind)


def updates_to_find() -> str:
    """Return what finding the rates of mnist-fair took, on each backend, against one training."""
    costs = table("mnist-fair", "costs").query("arm == 'clr'")
    return ", ".join(
        f"{row['backend']} {row['range_test_steps']:,} updates against {row['train_steps']:,}"
        for row in costs.to_dict("records")
    )


def shares(experiment: str, arm: str, column: str) -> str:
    """Return a share of cycle_peaks.csv in percent, on each backend."""
    return each(experiment, "cycle_peaks", column, ".0%", arm=arm)


CYCLES_OF_FOUR = (
    "mnist-fair",
    "policies",
    "policies-street-digits",
    "optimizers",
    "optimizers-street-digits",
    "street-digits-cnn",
)
"""Experiments whose cycles last four evaluations."""


def peaks_of_arms(experiments: Sequence[str]) -> str:
    """Return from which to which share of runs is best at a cycle's end, over the arms of these experiments."""
    found = pd.concat([table(name, "cycle_peaks") for name in experiments])["peaks_at_end"]
    return f"{100 * found.min():.0f} to {100 * found.max():.0f} %"


CLAIMS: Sequence[Claim] = (
    Claim(
        "CLR is faster: 30.2 s against 5.47 s",
        KERAS_ARTICLE,
        lambda: (
            "The schedule saves no time: at equal batches a linear decay takes "
            f"{times_as_long('mnist-fair', 'decay', 'clr')} times as long. As published, at batch 100 against 2000, constant "
            f"takes {times_as_long('mnist-article', 'constant', 'clr')} times as long as CLR; constant against constant, in "
            f"shorter runs, batch 100 takes {times_as_long('batch-sizes', 'small', 'large')} times as long as 2000. Medians of "
            "pairs: the machine was busy, so only ratios within a run mean anything"
        ),
        ("faster, in seconds", lambda: "no: the batch size saves time"),
        ("mnist-article/timing.csv", "batch-sizes/timing.csv", "mnist-fair/timing.csv"),
    ),
    Claim(
        "CLR reaches an accuracy in fewer iterations",
        f"{PAPER}, abstract",
        lambda: (
            f"To 97.5 % in the median {median_epochs('clr')} epochs against {median_epochs('constant')} of the constant "
            f"rate, and {median_epochs('decay')} of a linear decay; to stay there, {median_epochs('clr', 'sustained')} against "
            f"{median_epochs('constant', 'sustained')}, and {median_epochs('decay', 'sustained')}"
        ),
        ("faster, in epochs", lambda: "to 97.5 %: reached sooner, not held; decay does both"),
        ("mnist-fair/time_to_target.csv",),
    ),
    Claim(
        "CLR is better: 0.8352 against 0.7598",
        KERAS_ARTICLE,
        lambda: (
            f"As published: {effects('mnist-article', 'clr', 'constant')}. In test loss "
            f"{effects('mnist-article', 'clr', 'constant', 'test_loss')}, lost by "
            f"{losses('mnist-article', 'clr', 'constant', 'test_loss')} pairs"
        ),
        (
            "better, as published",
            lambda: (
                f"{verdicts('mnist-article', 'clr', 'constant')}; in test loss "
                f"{verdicts('mnist-article', 'clr', 'constant', 'test_loss')}"
            ),
        ),
        ("mnist-article/comparison.csv",),
    ),
    Claim(
        "CLR beats a constant rate",
        f"{PAPER}, tables 1 to 3",
        lambda: (
            f"Against a rate that trainings confirmed, on MNIST: {effects('mnist-fair', 'clr', 'constant')}; a linear decay: "
            f"{effects('mnist-fair', 'decay', 'constant')}. Of four constants around that rate "
            f"{constants_won()} better. On fewer rows triangular2: "
            f"{effects('policies', 'triangular2', 'fixed')}; triangular better with {optimizers_won('clr')} optimizers, a decay "
            f"with {optimizers_won('decay')}; on rendered digits triangular2: "
            f"{effects('policies-street-digits', 'triangular2', 'fixed')} (with the rates found on another processor "
            f"{elsewhere('policies-street-digits', 'triangular2')})"
        ),
        (
            "better, against a confirmed rate",
            lambda: (
                f"full MNIST: triangular {verdicts('mnist-fair', 'clr', 'constant')}, as is decay; subset: triangular2 "
                f"{verdicts('policies', 'triangular2', 'fixed')}, triangular with {optimizers_won('clr')} optimizers"
            ),
        ),
        (
            "mnist-fair/comparison.csv",
            "constant-rates/comparison.csv",
            "policies/comparison.csv",
            "optimizers/comparison.csv",
            "policies-street-digits/comparison.csv",
        ),
    ),
    Claim(
        "The loss is lower with CLR",
        SVHN_ARTICLE,
        lambda: (
            "On rendered digits, a stand-in, seven seeds, against a constant that trainings confirmed: "
            f"{effects('street-digits-cnn', 'clr', 'constant', 'test_loss')}; on another processor "
            f"{elsewhere('street-digits-cnn', 'clr', 'test_loss')}"
        ),
        None,
        ("street-digits-cnn/comparison.csv",),
    ),
    Claim(
        "A big batch size helps",
        KERAS_ARTICLE,
        lambda: (
            "At constant rates and equal epochs, batch 2000 against 100, at the same rate: "
            f"{effects('batch-sizes', 'large', 'small')}; at three times the rate: "
            f"{effects('batch-sizes', 'large_3_times', 'small')}; at ten times: "
            f"{effects('batch-sizes', 'large_10_times', 'small')} (collapsed runs: "
            f"{each('batch-sizes', 'collapse', 'collapsed', 'd', arm='large_10_times')})"
        ),
        ("big batches help", lambda: f"{verdicts('batch-sizes', 'large', 'small')}, at equal rates"),
        ("batch-sizes/comparison.csv", "batch-sizes/collapse.csv"),
    ),
    Claim(
        "A step size of 2 to 10 epochs; 3 cycles or more",
        f"{PAPER}, section 3.2",
        lambda: (
            "Keras alone: 24 epochs between the same bounds, against a step of 4 epochs (3 cycles): one of 1 epoch (12) "
            f"{effects('step-sizes', 'step_1_epoch', 'step_4_epochs')}; of 12 epochs (1) "
            f"{effects('step-sizes', 'step_12_epochs', 'step_4_epochs')}"
        ),
        (
            "at least 3 cycles",
            lambda: f"one cycle: {verdicts('step-sizes', 'step_12_epochs', 'step_4_epochs')}",
        ),
        ("step-sizes/comparison.csv",),
    ),
    Claim(
        "CLR practically eliminates the need to tune the rate",
        f"{PAPER}, abstract",
        lambda: (
            f"Finding its rates took {updates_to_find()} of one training, and `base_lr` was not found even so; the constant "
            f"rate came from the same trials. A rate too low or too high by "
            f"two powers of ten or more learns little or diverges: "
            f"{each('rates', 'summary', 'test_accuracy_mean', '.1%', arm='too_low')} "
            f"test accuracy at 0.0003, {each('rates', 'summary', 'diverged', 'd', arm='too_high')} of ten runs diverged at 8, "
            f"{each('rates', 'summary', 'test_accuracy_mean', '.1%', arm='good')} at 0.03"
        ),
        ("no need to tune", lambda: "no: its bounds take a search"),
        ("mnist-fair/costs.csv", "rates/summary.csv"),
    ),
    Claim(
        "Accuracy peaks when the rate is lowest",
        f"{PAPER}, section 3.2",
        lambda: (
            f"The best evaluation of a run stands at a cycle's end in {shares('mnist-fair', 'clr', 'peaks_at_end')} of runs, "
            f"where {shares('mnist-fair', 'clr', 'evaluations_at_end')} of evaluations are; of triangular2 in "
            f"{shares('policies', 'triangular2', 'peaks_at_end')}; of all arms whose cycles have four evaluations in "
            f"{peaks_of_arms(CYCLES_OF_FOUR)}, and with other cycles in {peaks_of_arms(['step-sizes'])}"
        ),
        (
            "accuracy peaks where rates are lowest",
            lambda: f"{peaks_of_arms([*CYCLES_OF_FOUR, 'step-sizes'])} of runs, by schedule",
        ),
        tuple(f"{name}/cycle_peaks.csv" for name in (*CYCLES_OF_FOUR, "step-sizes")),
    ),
    Claim(
        "One rate for all parameters is a weakness",
        TUTORIAL,
        lambda: "Not tested: rates of single layers are not supported; a script of one's own may set them",
        None,
        (),
    ),
)


def claims_table() -> str:
    """Return the table of docs."""
    rows = ["| claim | from | what came out | numbers in |", "|---|---|---|---|"]
    for one in CLAIMS:
        files = ", ".join(f"[`{file}`](../results/{file})" for file in one.files) or "-"
        rows.append(f"| {one.claim} | {one.source} | {one.outcome()} | {files} |")
    return "\n".join(rows)


def short_table() -> str:
    """Return the table of README."""
    rows = [f"| {one.short[0]} | {one.short[1]()} |" for one in CLAIMS if one.short is not None]
    return "\n".join(["| claim | result |", "|---|---|", *rows])

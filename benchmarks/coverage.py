"""How often the interval of the paired sign-flip test holds the true mean, and its p-value errs, over simulated differences."""

from collections.abc import Callable

import numpy as np

from clrbench.stats import compare_paired

ALPHA = 0.05
EXPERIMENTS = {6: 4000, 8: 4000, 10: 2000, 20: 300}
"""How many experiments of so many pairs are drawn; more pairs take longer."""

DIFFERENCES: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy-tailed (t, 2 degrees of freedom)": lambda rng, shape: rng.standard_t(2, shape),
    "skewed (exponential)": lambda rng, shape: rng.exponential(1.0, shape) - 1.0,
    "very skewed (log-normal)": lambda rng, shape: rng.lognormal(0.0, 1.0, shape) - np.exp(0.5),
    "one arm collapses in 10 % of its runs": lambda rng, shape: (
        rng.normal(0.1, 0.01, shape) - (rng.random(shape) < 0.1)
    ),
}


def main() -> None:
    """Print a Markdown table; the true mean is 0 throughout."""
    print("| differences | " + " | ".join(f"{pairs} pairs" for pairs in EXPERIMENTS) + " |")
    print("|---" * (1 + len(EXPERIMENTS)) + "|")
    for name, draw in DIFFERENCES.items():
        cells = [f"{covered(draw, pairs, count):.1%}" for pairs, count in EXPERIMENTS.items()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def covered(
    draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray], pairs: int, num_experiments: int
) -> float:
    """Return the share of experiments whose interval holds 0, which is also the share with p > alpha.

    Args:
        draw: Draws differences of mean 0.
        pairs: Differences of one experiment.
        num_experiments: How many.
    """
    rng = np.random.default_rng([pairs, num_experiments])
    results = [compare_paired(row, np.zeros(pairs), alpha=ALPHA) for row in draw(rng, (num_experiments, pairs))]
    return float(np.mean([result.ci_low <= 0 <= result.ci_high for result in results]))


if __name__ == "__main__":
    main()

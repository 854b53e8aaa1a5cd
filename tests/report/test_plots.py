import numpy as np
import pandas as pd

ARMS = ("constant", "clr", "one_cycle")
EPOCHS = np.arange(1.0, 13.0)
STEPS_PER_EPOCH = 550


def lr_at(arm, epoch):
    if arm == "constant":
        return np.full_like(epoch, 0.03)
    if arm == "clr":
        return 0.01 + 0.09 * (1 - np.abs(epoch % 4 / 2 - 1))
    return np.interp(epoch, [0, 3.6, 12], [0.004, 0.1, 1e-5])


def run_rows(backend, arm, seed, epochs=EPOCHS):
    rng = np.random.default_rng([seed, *arm.encode(), *backend.encode()])
    lr = lr_at(arm, epochs)
    loss = 0.32 * epochs**-0.75 + 0.35 * lr + 0.028 + rng.normal(0, 0.004, len(epochs))
    table = pd.DataFrame({"epoch": epochs, "step": (epochs * STEPS_PER_EPOCH).astype(int), "lr": lr})
    return table.assign(
        experiment="mnist-mlp",
        backend=backend,
        arm=arm,
        seed=seed,
        train_loss=loss * 0.8 - 0.02 * epochs / 12,
        train_accuracy=1 - loss / 4,
        validation_loss=loss + 0.02,
        validation_accuracy=1 - loss / 3.4,
        test_loss=loss + 0.015,
        test_accuracy=(1 - loss / 3.5).round(4),
        status="finished",
    )


def diverge(metrics, backend, arm, seed, epoch):
    run = (metrics["backend"] == backend) & (metrics["arm"] == arm) & (metrics["seed"] == seed)
    columns = [name for name in metrics if name.endswith(("loss", "accuracy"))]
    metrics.loc[run & (metrics["epoch"] > epoch), [*columns, "lr"]] = np.nan
    metrics.loc[run, "status"] = "diverged"


def metrics_table(backends=("torch", "keras"), arms=ARMS, seeds=range(10)):
    return pd.concat(
        [run_rows(backend, arm, seed) for backend in backends for arm in arms for seed in seeds], ignore_index=True
    )


def schedule_table(backends=("torch", "keras"), arms=ARMS):
    epochs = np.linspace(1 / STEPS_PER_EPOCH, 12, 481)
    step = np.rint(epochs * STEPS_PER_EPOCH).astype(int)
    return pd.concat(
        [
            pd.DataFrame({"backend": backend, "arm": arm, "epoch": epochs, "step": step, "lr": lr_at(arm, epochs)})
            for backend in backends
            for arm in arms
        ],
        ignore_index=True,
    )


def paired_tables(metrics, baseline="constant", metric="test_accuracy"):
    ends = metrics[metrics["epoch"] == metrics["epoch"].max()].set_index(["backend", "arm", "seed"])[metric].sort_index()
    differences, comparison = [], []
    for backend in metrics["backend"].unique():
        for arm in metrics["arm"].unique():
            if arm == baseline:
                continue
            paired = (ends[backend, arm] - ends[backend, baseline]).dropna()
            keys = {"backend": backend, "candidate": arm, "baseline": baseline, "metric": metric}
            differences.append(pd.DataFrame({**keys, "seed": paired.index, "difference": paired.to_numpy()}))
            half = 2.3 * paired.std() / np.sqrt(len(paired)) if len(paired) > 5 else np.inf
            mean = paired.mean()
            word = "cannot tell" if np.isinf(half) else "no difference shown" if abs(mean) < half else "better"
            comparison.append({**keys, "pairs": len(paired), "mean_difference": mean, "ci_low": mean - half}
                              | {"ci_high": mean + half, "p_value": 0.01, "verdict": word})
    return pd.DataFrame(comparison), pd.concat(differences, ignore_index=True)


def range_test_curve(backends=("torch", "keras"), seeds=range(3), ramp="linear", steps=2750):
    lr = np.linspace(0.001, 1.0, steps) if ramp == "linear" else np.geomspace(1e-5, 3.0, steps)
    tables = []
    for backend in backends:
        for seed in seeds:
            rng = np.random.default_rng([seed, *backend.encode()])
            progress = np.cumsum(lr) / 8
            blowup = np.maximum(0, lr - 0.55) ** 2 * 9
            loss = 0.12 + 2.2 * np.exp(-progress) + blowup
            raw = loss * np.exp(rng.normal(0, 0.3, steps))
            accuracy = np.clip(0.97 - 0.86 * np.exp(-progress) - blowup / 5 * rng.uniform(0.7, 1.3, steps), 0.1, 1)
            evaluated = np.zeros(steps, bool)
            evaluated[np.linspace(0, steps - 1, 62).astype(int)[1:]] = True
            tables.append(pd.DataFrame({
                "backend": backend, "seed": seed, "step": np.arange(1, steps + 1), "lr": lr, "train_loss": raw,
                "train_accuracy": np.clip(accuracy + rng.normal(0, 0.03, steps), 0, 1),
                "validation_loss": np.where(evaluated, loss, np.nan),
                "validation_accuracy": np.where(evaluated, accuracy, np.nan)}))
    return pd.concat(tables, ignore_index=True)

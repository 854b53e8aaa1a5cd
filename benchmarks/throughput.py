"""Images a second of clrbench, of the usual training script, and of a minimal loop written by hand, side by side.

An MNIST mlp [100, 50] with momentum, on the CPU. Every contender lives in a process of its own; they take turns, an epoch
at a time, so that whatever else the machine does meets all of them alike. Medians over the turns.

    python benchmarks/throughput.py --threads 2
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from clrbench import backends, models
from clrbench.data import Library
from clrbench.models import ModelSettings
from clrbench.records import OptimizerSettings, Split, SplitRows, TrainPlan

Epoch = Callable[[], object]

HIDDEN = (100, 50)
MOMENTUM = 0.9
BASE_LR, MAX_LR = 0.01, 0.1
STEP_SIZE_EPOCHS = 2

GOALS = {
    ("torch", "DataLoader and CyclicLR"): 1.7,
    ("torch", "minimal loop"): 0.95,
    ("keras", "fit with a callback"): 3.2,
    ("keras", "minimal loop"): 0.95,
}


def triangular(num_steps: int) -> np.ndarray:
    """Return the rates of one epoch, float32[num_steps]."""
    return (BASE_LR + (MAX_LR - BASE_LR) * np.arange(num_steps) / (STEP_SIZE_EPOCHS * num_steps)).astype(np.float32)


def scaled_mnist() -> tuple[np.ndarray, np.ndarray]:
    """Return float32[60000, 28, 28, 1] in 0..1, and int32[60000]."""
    mnist = Library().load("mnist")
    return mnist.x_train.astype(np.float32) / 255, mnist.y_train


def shuffled(batch_size: int) -> np.ndarray:
    """Return the rows of every batch of one epoch, int32[num_steps, batch_size]."""
    num_steps = 60_000 // batch_size
    rows = np.random.default_rng(0).permutation(60_000)[: num_steps * batch_size]
    return rows.reshape(num_steps, batch_size).astype(np.int32)


def clrbench_epoch(backend_name: str, threads: int, batch_size: int) -> Epoch:
    """Return an epoch on a backend of clrbench, by its name."""
    backend = backends.load(backend_name)
    backend.set_threads(threads)
    mnist = Library().load("mnist")
    layers = models.build_layers(ModelSettings("mlp", hidden=HIDDEN), mnist.image_shape, mnist.num_classes)
    batches = shuffled(batch_size)
    plan = TrainPlan(
        layers=layers,
        weights=models.initial_weights(layers, mnist.image_shape, np.random.default_rng(0)),
        optimizer=OptimizerSettings("sgd", momentum=MOMENTUM),
        batches=batches,
        lr=triangular(len(batches)),
        rows=SplitRows(*(np.arange(0, dtype=np.int32) for _ in Split)),
        validation_classes=np.empty(0, np.int32),
        test_classes=np.empty(0, np.int32),
        num_classes=mnist.num_classes,
        evaluation_steps=np.empty(0, np.int32),
        evaluated_splits=(),
        steps_per_epoch=len(batches),
        dropout_seed=0,
    )
    trainer = backend.make_trainer(plan, mnist, "cpu")
    return lambda: trainer.train(plan.batches, plan.lr)


def torch_model(threads: int):
    """Return the mlp as torch users write it."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    first, second = HIDDEN
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 10)
    )


def dataloader_epoch(threads: int, batch_size: int) -> Epoch:
    """Return an epoch of the usual torch script, which records the loss only."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch_model(threads)
    images, labels = scaled_mnist()
    loader = DataLoader(
        TensorDataset(torch.from_numpy(images), torch.from_numpy(labels).long()), batch_size, shuffle=True
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR, momentum=MOMENTUM)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, BASE_LR, MAX_LR, step_size_up=STEP_SIZE_EPOCHS * len(loader), cycle_momentum=False
    )
    criterion = torch.nn.CrossEntropyLoss()

    def epoch() -> list[float]:
        losses = []
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
        return losses

    return epoch


def minimal_torch_epoch(threads: int, batch_size: int) -> Epoch:
    """Return an epoch of a bare torch loop over resident float images that records loss and accuracy of every step."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    model = torch_model(threads)
    images, labels = (torch.from_numpy(array) for array in scaled_mnist())
    labels = labels.long()
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR, momentum=MOMENTUM)
    batches = torch.from_numpy(shuffled(batch_size)).long()
    rates = triangular(len(batches)).tolist()

    def epoch() -> tuple[np.ndarray, np.ndarray]:
        losses, accuracies = torch.empty(len(batches)), torch.empty(len(batches))
        for step, rows in enumerate(batches):
            optimizer.param_groups[0]["lr"] = rates[step]
            targets = labels[rows]
            logits = model(images[rows])
            loss = F.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()
            accuracies[step] = (logits.argmax(1) == targets).float().mean()
        return losses.numpy(), accuracies.numpy()

    return epoch


def keras_model(threads: int):
    """Return the mlp as Keras users write it."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    layers = [keras.layers.Dense(units, activation="relu") for units in HIDDEN]
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), *layers, keras.layers.Dense(10)])


def fit_epoch(threads: int, batch_size: int) -> Epoch:
    """Return an epoch of `fit` with a callback that sets the rate of every batch and keeps its loss."""
    model = keras_model(threads)
    import keras

    rates = triangular(-(-60_000 // batch_size)).tolist()
    images, labels = scaled_mnist()

    class PerBatch(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.losses: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            self.model.optimizer.learning_rate = rates[batch]

        def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
            self.losses.append(logs["loss"])

    model.compile(
        keras.optimizers.SGD(BASE_LR, momentum=MOMENTUM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return lambda: model.fit(images, labels, batch_size=batch_size, verbose=0, callbacks=[PerBatch()])


def minimal_keras_epoch(threads: int, batch_size: int) -> Epoch:
    """Return an epoch of a bare `tf.function` loop over resident float images that records loss and accuracy."""
    model = keras_model(threads)
    import keras
    import tensorflow as tf

    images, labels = (tf.constant(array) for array in scaled_mnist())
    optimizer = keras.optimizers.SGD(BASE_LR, momentum=MOMENTUM)
    optimizer.build(model.trainable_variables)

    @tf.function
    def train(batches, rates):
        num_steps = tf.shape(rates)[0]
        losses, accuracies = tf.TensorArray(tf.float32, num_steps), tf.TensorArray(tf.float32, num_steps)
        for step in tf.range(num_steps):
            rows = batches[step]
            targets = tf.gather(labels, rows)
            optimizer.learning_rate.assign(rates[step])
            with tf.GradientTape() as tape:
                logits = model(tf.gather(images, rows), training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            losses = losses.write(step, loss)
            hits = tf.equal(tf.argmax(logits, 1, tf.int32), targets)
            accuracies = accuracies.write(step, tf.reduce_mean(tf.cast(hits, tf.float32)))
        return losses.stack(), accuracies.stack()

    batches = shuffled(batch_size)
    rows, rates = tf.constant(batches), tf.constant(triangular(len(batches)))
    return lambda: [log.numpy() for log in train(rows, rates)]


CONTENDERS: dict[str, dict[str, Callable[[int, int], Epoch]]] = {
    "torch": {
        "clrbench": lambda threads, batch_size: clrbench_epoch("torch", threads, batch_size),
        "DataLoader and CyclicLR": dataloader_epoch,
        "minimal loop": minimal_torch_epoch,
    },
    "keras": {
        "clrbench": lambda threads, batch_size: clrbench_epoch("keras", threads, batch_size),
        "fit with a callback": fit_epoch,
        "minimal loop": minimal_keras_epoch,
    },
}


def take_turns(backend: str, batch_size: int, threads: int, turns: int) -> dict[str, list[float]]:
    """Return the seconds of every epoch of every contender of a backend, after one epoch each to warm up."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    children = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--child", backend, name, str(batch_size), str(threads)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name in CONTENDERS[backend]
    }
    seconds: dict[str, list[float]] = {name: [] for name in children}
    for _ in range(turns + 1):
        for name, child in children.items():
            child.stdin.write("\n")
            child.stdin.flush()
            seconds[name].append(float(child.stdout.readline()))
    for child in children.values():
        child.communicate()
    return {name: epochs[1:] for name, epochs in seconds.items()}


def serve(backend: str, name: str, batch_size: int, threads: int) -> None:
    """Train an epoch for every line of stdin, and write its seconds to stdout."""
    epoch = CONTENDERS[backend][name](threads, batch_size)
    for _ in sys.stdin:
        start = time.perf_counter()
        epoch()
        print(time.perf_counter() - start, flush=True)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=9, help="epochs a contender")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--backends", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        backend, name, batch_size, threads = options.child
        serve(backend, name, int(batch_size), int(threads))
        return
    print(f"{'backend':8}{'batch':>6}  {'contender':26}{'images/s':>10}{'clrbench is':>13}{'goal':>7}")
    for backend in options.backends:
        for batch_size in options.batch_sizes:
            seconds = take_turns(backend, batch_size, options.threads, options.turns)
            for name, epochs in seconds.items():
                # Turns are paired: the ratio of one round is of neighbours in time.
                ratio = statistics.median(np.divide(epochs, seconds["clrbench"]))
                rate = 60_000 / statistics.median(epochs)
                goal = GOALS.get((backend, name))
                against = f"{ratio:12.2f}x{goal:6.2f}x" if goal else ""
                print(f"{backend:8}{batch_size:>6}  {name:26}{rate:>10,.0f}{against}", flush=True)


if __name__ == "__main__":
    main()

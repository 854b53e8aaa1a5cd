"""What both the contract and the parity tests train."""

import os

import numpy as np

from clrbench.models import ModelSettings
from clrbench.records import OptimizerSettings

SEED = int(os.environ.get("CLRBENCH_TEST_SEED", "0"))
"""Another one draws all weights, batches and nudges anew; the tests must hold on any."""

DEVICE = os.environ.get("CLRBENCH_TEST_DEVICE", "cpu")
"""Where everything is trained: `cuda` on a machine that has one; the tests must hold on any."""

MLP = ModelSettings("mlp", hidden=(100, 50))


def shared(name, **options):
    """Return settings with Keras's arithmetic on every backend."""
    return OptimizerSettings(name, update_rule="shared", **options)


def triangular(num_steps, step_size=20):
    """Return the triangular policy between 0.01 and 0.1."""
    step = np.arange(num_steps)
    return 0.01 + 0.09 * (1 - abs(step % (2 * step_size) / step_size - 1))


ADAPTIVE = [
    shared("sgd", momentum=0.9, nesterov=True),
    shared("adam"),
    shared("adamw", weight_decay=1.0),
    shared("rmsprop"),
    shared("adagrad"),
    shared("adadelta"),
    shared("sgd", momentum=0.9, weight_decay=0.1),
    shared("sgd", momentum=0.9, nesterov=True, weight_decay=0.1),
    shared("adam", weight_decay=0.1),
    shared("rmsprop", weight_decay=0.1),
]


def rates(settings, num_steps):
    """Return a triangular policy of a height that suits the optimizer."""
    return triangular(num_steps) * (0.01 if settings.name in ("adam", "adamw", "rmsprop") else 1)


def same_scores(first, second):
    """Assert that two outcomes came to the same on every split, bit for bit."""
    assert first.evaluations.keys() == second.evaluations.keys()
    for split, scores in first.evaluations.items():
        assert scores.loss == second.evaluations[split].loss
        np.testing.assert_array_equal(scores.hits, second.evaluations[split].hits, strict=True)


def label(settings):
    """Name a case."""
    options = [settings.name, "nesterov" * settings.nesterov, "decay" * bool(settings.weight_decay)]
    return "-".join(filter(None, [*options, settings.update_rule]))

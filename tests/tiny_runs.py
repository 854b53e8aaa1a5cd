"""A run of twenty updates on a data set of sixty images, to be made by a trainer whose losses are known."""

import numpy as np

from clrbench.data import Library
from clrbench.execution.provenance import Circumstances
from clrbench.records import Dataset
from clrbench.spec import RunSpec
from clrbench.spec.data import Data
from clrbench.spec.model import Sgd
from clrbench.spec.network import Mlp
from clrbench.spec.schedules import Constant

NUM_STEPS = 20
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 4, 5, 1), dtype=np.uint8)
LABELS = (np.arange(60) % 3).astype(np.int32)
DATASET = Dataset("tiny", IMAGES[:50], LABELS[:50], IMAGES[50:], LABELS[50:], 3, "abc")
HOW = Circumstances("torch", "cpu", 1, "fake", None, "abc")
RUN = RunSpec(
    backend="torch",
    arm="constant",
    seed=3,
    data=Data(dataset="mnist", validation="10 rows"),
    model=Mlp(name="mlp", hidden=(4,)),
    optimizer=Sgd(name="sgd"),
    batch_size=10,
    schedule=Constant(name="constant", lr=0.1),
    num_steps=NUM_STEPS,
    steps_per_epoch=4,
    evaluation_steps=(10, NUM_STEPS),
    evaluated_splits=("validation", "test"),
    divergence_factor=1000.0,
)


class TinyLibrary(Library):
    """Has one data set."""

    def load(self, dataset: str, show: object = None, how: object = None) -> Dataset:
        return DATASET

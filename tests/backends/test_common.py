"""How many rows are evaluated at once: a function of the network and the images alone, the same on every backend."""

import numpy as np
import pytest

from clrbench.backends.common import (
    ACTIVATION_BYTES,
    MAX_EVALUATION_ROWS,
    MIN_EVALUATION_ROWS,
    evaluation_rows,
)
from clrbench.models import ModelSettings, build_layers

MNIST, SVHN, LARGE = (28, 28, 1), (32, 32, 3), (224, 224, 3)


@pytest.mark.parametrize(
    ("model", "image_shape", "largest", "rows"),
    [
        (ModelSettings("mlp"), MNIST, 784, 1000),
        (ModelSettings("mlp"), SVHN, 3072, 1000),
        (ModelSettings("mlp", hidden=(20_000,)), MNIST, 20_000, 157),
        (ModelSettings("lenet5"), MNIST, 28 * 28 * 6, 668),
        (ModelSettings("lenet5"), SVHN, 32 * 32 * 6, 512),
        (ModelSettings("resnet8"), MNIST, 28 * 28 * 16, 250),
        (ModelSettings("resnet8"), SVHN, 32 * 32 * 16, 192),
        (ModelSettings("cnn"), MNIST, 28 * 28 * 32, 125),
        (ModelSettings("cnn"), SVHN, 32 * 32 * 32, 96),
        (ModelSettings("cnn"), LARGE, 224 * 224 * 32, 50),
    ],
    ids=lambda value: value.name if isinstance(value, ModelSettings) else str(value),
)
def test_rows_at_once_are_what_the_largest_layer_allows(
    model: ModelSettings, image_shape: tuple[int, int, int], largest: int, rows: int
) -> None:
    found = evaluation_rows(build_layers(model, image_shape, 10), image_shape)
    assert found == rows
    assert found == np.clip(ACTIVATION_BYTES // (4 * largest), MIN_EVALUATION_ROWS, MAX_EVALUATION_ROWS)

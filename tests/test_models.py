import math
from typing import get_args

import numpy as np
import pytest

from clrbench.errors import SpecError
from clrbench.layers import Activation, AveragePool, BatchNorm, Conv, Dense, Dropout, Flatten, MaxPool, Residual
from clrbench.models import (
    ARCHITECTURES,
    ModelSettings,
    build_layers,
    forward_multiply_adds,
    initial_weights,
    largest_activation,
    num_parameters,
    output_shape,
    weight_shapes,
)
from clrbench.spec.network import BuiltIn

MNIST = (28, 28, 1)
CIFAR = (32, 32, 3)


def test_mlp_has_its_options_in_order():
    model = ModelSettings("mlp", hidden=(7, 5), activation="tanh", dropout=0.2, batch_norm=True)
    block = (BatchNorm(), Activation("tanh"), Dropout(0.2))
    assert build_layers(model, MNIST, 3) == (Flatten(), Dense(7), *block, Dense(5), *block, Dense(3))


def test_cnn_convolutions_before_a_batch_norm_have_no_bias():
    layers = build_layers(ModelSettings("cnn", dropout=0.5, batch_norm=True), MNIST, 10)
    relu = Activation("relu")
    assert layers == (
        *(Conv(32, 3, bias=False), BatchNorm(), relu, MaxPool()),
        *(Conv(64, 3, bias=False), BatchNorm(), relu, MaxPool()),
        *(Flatten(), Dense(128), BatchNorm(), relu, Dropout(0.5), Dense(10)),
    )


def test_lenet5_takes_its_activation_from_the_settings():
    layers = build_layers(ModelSettings("lenet5", activation="sigmoid"), MNIST, 10)
    assert [layer for layer in layers if isinstance(layer, Activation)] == [Activation("sigmoid")] * 4
    assert [layer for layer in layers if isinstance(layer, AveragePool)] == [AveragePool(2)] * 2


def test_resnet8_halves_the_image_in_its_last_two_stages():
    layers = build_layers(ModelSettings("resnet8"), CIFAR, 10)
    ends = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, Residual)]
    assert [output_shape(layers[:end], CIFAR) for end in ends] == [(32, 32, 16), (16, 16, 32), (8, 8, 64)]
    assert [layer.shortcut for layer in layers if isinstance(layer, Residual)] == [
        (),
        (Conv(32, 1, stride=2),),
        (Conv(64, 1, stride=2),),
    ]


@pytest.mark.parametrize("shape", [(9, 9), (10, 10), (9, 10)])
def test_body_and_shortcut_of_a_strided_residual_agree_on_odd_images(shape):
    for layer in build_layers(ModelSettings("resnet8"), (*shape, 1), 10):
        if isinstance(layer, Residual) and layer.shortcut:
            assert output_shape(layer.body, (*shape, 4)) == output_shape(layer.shortcut, (*shape, 4))


@pytest.mark.parametrize(
    ("name", "image_shape", "parameters"),
    [
        ("mlp", MNIST, 84_060),
        ("cnn", MNIST, 421_642),
        ("lenet5", MNIST, 61_706),  # LeCun's network with full connections
        ("resnet8", CIFAR, 78_666 - 480 - 240),  # MLPerf Tiny's, less moving statistics and biases before norms
    ],
)
def test_parameters_are_as_counted_by_hand(name, image_shape, parameters):
    layers = build_layers(ModelSettings(name), image_shape, 10)
    assert num_parameters(layers, image_shape) == parameters


@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        ("mlp", 784 * 100 + 100 * 50 + 50 * 10),
        ("lenet5", 28 * 28 * 6 * 25 + 10 * 10 * 16 * 25 * 6 + 400 * 120 + 120 * 84 + 84 * 10),
    ],
)
def test_multiply_adds_are_as_counted_by_hand(name, multiply_adds):
    assert forward_multiply_adds(build_layers(ModelSettings(name), MNIST, 10), MNIST) == multiply_adds


@pytest.mark.parametrize(
    ("layers", "largest"),
    [
        ((Flatten(), Dense(3)), 4 * 6 * 2),
        ((Flatten(), Dense(300)), 300),
        ((Conv(5, 3), Flatten(), Dense(3)), 4 * 6 * 5),
        ((MaxPool(), Conv(9, 1), Flatten(), Dense(3)), 2 * 3 * 9),
        ((Residual((Conv(7, 3), Conv(2, 3))), Flatten(), Dense(3)), 4 * 6 * 7),
        ((Residual((Conv(2, 3),), (Conv(8, 1), Conv(2, 1))), Flatten(), Dense(3)), 4 * 6 * 8),
        ((Conv(5, 3, stride=2), Flatten(), Dense(3)), 4 * 6 * 2),
    ],
    ids=["images", "logits", "first layer", "within", "body", "shortcut", "stride"],
)
def test_the_largest_activation_is_that_of_any_layer(layers, largest):
    assert largest_activation(layers, (4, 6, 2)) == largest


def test_weights_are_named_by_place_and_kind():
    layers = (Conv(4, 3), Residual((Conv(4, 3, bias=False), BatchNorm()), (Conv(4, 1),)), Flatten(), Dense(2))
    assert weight_shapes(layers, (5, 6, 3)) == {
        "00.conv.kernel": (3, 3, 3, 4),
        "00.conv.bias": (4,),
        "01.body.00.conv.kernel": (3, 3, 4, 4),
        "01.body.01.batch_norm.gamma": (4,),
        "01.body.01.batch_norm.beta": (4,),
        "01.shortcut.00.conv.kernel": (1, 1, 4, 4),
        "01.shortcut.00.conv.bias": (4,),
        "03.dense.kernel": (120, 2),
        "03.dense.bias": (2,),
    }


def test_kernels_are_glorot_uniform_and_the_rest_is_neutral():
    layers = build_layers(ModelSettings("cnn", batch_norm=True), MNIST, 10)
    weights = initial_weights(layers, MNIST, np.random.default_rng(0))
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}
    fans = {"00.conv.kernel": 9 * 1 + 9 * 32, "04.conv.kernel": 9 * 32 + 9 * 64, "09.dense.kernel": 3136 + 128}
    for name, fan_in_and_out in fans.items():
        limit = math.sqrt(6 / fan_in_and_out)
        assert abs(weights[name]).max() == pytest.approx(limit, rel=0.03)
        assert weights[name].std() == pytest.approx(limit / math.sqrt(3), rel=0.1)
        assert weights[name].mean() == pytest.approx(0, abs=4 * limit / math.sqrt(3 * weights[name].size))
    for name, weight in weights.items():
        if not name.endswith("kernel"):
            np.testing.assert_array_equal(weight, float(name.endswith("gamma")))


def test_initial_weights_depend_on_the_generator_only():
    layers = build_layers(ModelSettings("mlp"), MNIST, 10)
    first, same, other = (initial_weights(layers, MNIST, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["01.dense.kernel"], other["01.dense.kernel"])


@pytest.mark.parametrize(("name", "smallest"), [("mlp", 1), ("cnn", 4), ("lenet5", 12), ("resnet8", 1)])
def test_smallest_images_of_an_architecture_still_make_logits(name, smallest):
    layers = build_layers(ModelSettings(name), (smallest, smallest, 3), 10)
    assert output_shape(layers, (smallest, smallest, 3)) == (10,)


@pytest.mark.parametrize(("name", "smallest"), [("cnn", 4), ("lenet5", 12)])
def test_images_too_small_are_refused_with_the_smallest_size(name, smallest):
    with pytest.raises(SpecError, match=f"{name} takes images of at least {smallest} x {smallest} pixels"):
        build_layers(ModelSettings(name), (28, smallest - 1, 1), 10)


def test_a_spec_can_name_every_architecture_and_no_other():
    models = get_args(BuiltIn)
    assert [get_args(model.model_fields["name"].annotation) for model in models] == [(name,) for name in ARCHITECTURES]

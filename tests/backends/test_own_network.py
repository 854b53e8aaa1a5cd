"""Networks of the user's own on each backend, against loops written by hand, and what is refused or warned about."""

import json
from dataclasses import replace

import numpy as np
import pytest
from cases import ADAPTIVE, MLP, SEED, label, rates, shared
from jobs import fail_to_build, has_cudnn, network_of, train, train_and_evaluate
from own_loops import MOMENTUM, NETWORKS, keras_loop, torch_loop
from test_contract import same_bytes

from clrbench.errors import BackendError, SpecError
from clrbench.layers import OwnNetwork
from clrbench.own_code import Code, find_sources
from clrbench.records import OptimizerSettings, Split, Standardisation

LOOPS = {"torch": torch_loop, "keras": keras_loop}
TOLERANCES = {"torch": 0.0, "keras": 1e-3}
"""Relative, of losses against a loop written by hand: on torch they are the same, on Keras it is not compiled."""

STEPS = 12
DECAYED = OptimizerSettings("adamw", weight_decay=0.1)
USUAL = OptimizerSettings("sgd", momentum=MOMENTUM)


def as_images(dataset):
    return dataset


def as_series(dataset):
    return replace(dataset, **{x: getattr(dataset, x)[..., 0].astype(np.float32) / 255 for x in ("x_train", "x_test")})


def as_features(dataset):
    return replace(
        dataset, **{x: getattr(dataset, x).reshape(-1, 784).astype(np.float32) / 255 for x in ("x_train", "x_test")}
    )


def as_tokens(dataset):
    rows = {x: getattr(dataset, x)[:, 10:14, ::4, 0].reshape(-1, 28) for x in ("x_train", "x_test")}
    return replace(dataset, **{x: values.astype(np.int32) for x, values in rows.items()})


def values(dataset):
    """Return the training rows as the network takes them, made here."""
    x = dataset.x_train
    return (
        x.astype(np.float32) / np.float32(255)
        if x.dtype == np.uint8
        else x.astype(np.int64)
        if x.dtype == np.int32
        else x
    )


@pytest.fixture
def own_plan(make_plan):
    """Draw up a plan for a function of `networks/`."""

    def make(backend, function, *, optimizer=USUAL, seed=SEED, steps=STEPS, **options):
        usual = make_plan(MLP, optimizer, rates(optimizer, steps), batch_size=20)
        reference = f"{NETWORKS / backend}_networks.py:{function}"
        source = find_sources(Code(reference, NETWORKS, SpecError, SpecError)).digest()
        network = OwnNetwork(reference, NETWORKS, json.dumps(options), source, 100 + seed)
        return replace(usual, layers=(), weights={}, network=network, dropout_seed=7 + seed)

    return make


def slow(case):
    """Return a case of Keras that `make acceptance` runs."""
    return pytest.param("keras", *case, id=f"keras-{case[0]}", marks=pytest.mark.acceptance)


BOTH = ["torch", pytest.param("keras", marks=pytest.mark.acceptance)]
TORCH_CASES = [("cnn", as_images), ("lstm", as_series), ("attention", as_tokens), ("buffers", as_features)]
KERAS_CASES = [("cnn", as_images), ("lstm", as_series), ("attention", as_tokens), ("decayed", as_images)]
CASES = [
    *(pytest.param("torch", *case, id=f"torch-{case[0]}") for case in TORCH_CASES),
    pytest.param("keras", *KERAS_CASES[0], id="keras-cnn"),
    *map(slow, KERAS_CASES[1:]),
]


@pytest.mark.parametrize(("name", "function", "form"), CASES)
def test_losses_are_those_of_a_loop_written_by_hand(ask, own_plan, dataset, name, function, form):
    data, plan = form(dataset), own_plan(name, function)
    outcome = ask(name, train, plan, data, splits=[Split.VALIDATION])
    losses, final = ask(name, LOOPS[name], function, values(data), data.y_train, plan)
    np.testing.assert_allclose(outcome.log.loss, losses, rtol=TOLERANCES[name])
    np.testing.assert_array_equal(outcome.log.lr, plan.lr)
    assert outcome.evaluations[Split.VALIDATION].loss == pytest.approx(final, rel=max(1e-5, TOLERANCES[name]))
    assert len(set(losses.tolist())) == STEPS


@pytest.mark.parametrize(
    ("name", "function", "form"),
    [*CASES[: len(TORCH_CASES)], *map(slow, KERAS_CASES)],
)
def test_a_resumed_run_goes_on_bit_for_bit(ask, own_plan, dataset, name, function, form):
    data, plan = form(dataset), own_plan(name, function)
    whole = ask(name, train, plan, data, splits=[Split.TEST])
    parts = ask(name, train, plan, data, cuts=[1, 5, 11], splits=[Split.TEST])
    same_bytes(whole, parts)
    assert whole.evaluations[Split.TEST].loss == parts.evaluations[Split.TEST].loss


@pytest.mark.parametrize(("dropout", "while_it_runs"), [(0.2, False), (0.0, True)])
def test_recurrent_layers_with_dropout_leave_the_random_numbers_of_cudnn_aside(ask, dropout, while_it_runs):
    assert ask("torch", has_cudnn, dropout) == [True, while_it_runs, True]


@pytest.mark.parametrize(
    ("name", "function", "form"),
    [CASES[0], CASES[3], slow(KERAS_CASES[0])],
)
def test_evaluations_draw_nothing_of_training(ask, own_plan, dataset, name, function, form):
    data, plan = form(dataset), own_plan(name, function)
    same_bytes(ask(name, train, plan, data), ask(name, train_and_evaluate, plan, data))


@pytest.mark.parametrize("name", BOTH)
def test_a_run_leaves_the_next_one_as_it_is(ask, own_plan, dataset, name):
    first, other = own_plan(name, "cnn"), own_plan(name, "cnn", seed=SEED + 1)
    alone = ask(name, train, first, dataset)
    ask(name, train, other, dataset)
    same_bytes(alone, ask(name, train, first, dataset))


@pytest.mark.parametrize("optimizer", [shared("sgd", momentum=0.9), *ADAPTIVE[:3], DECAYED], ids=label)
def test_every_optimizer_moves_it_on_torch(ask, own_plan, dataset, optimizer):
    data = as_features(dataset)
    plan = own_plan("torch", "buffers", optimizer=optimizer)
    whole = ask("torch", train, plan, data)
    assert np.isfinite(whole.log.loss).all()
    same_bytes(whole, ask("torch", train, plan, data, cuts=[4]))
    start = ask("torch", train, replace(plan, lr=plan.lr[:0], batches=plan.batches[:1]), data).state
    moved = {key for key, array in whole.state.items() if key.startswith("parameter.") and (array != start[key]).any()}
    assert {"parameter.layers.0.weight", "parameter.layers.2.bias"} <= moved
    assert not moved & {"parameter.frozen", "parameter.unused.weight"}


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "optimizer", [*ADAPTIVE, OptimizerSettings("sgd"), OptimizerSettings("sgd", momentum=0.9)], ids=label
)
def test_every_optimizer_moves_it_on_keras(ask, own_plan, dataset, optimizer):
    data, plan = as_tokens(dataset), own_plan("keras", "attention", optimizer=optimizer)
    whole = ask("keras", train, plan, data)
    assert np.isfinite(whole.log.loss).all()
    same_bytes(whole, ask("keras", train, plan, data, cuts=[4]))


@pytest.mark.parametrize("form", [as_images, as_series, as_tokens, as_features])
@pytest.mark.parametrize("name", BOTH)
def test_a_stream_gives_the_same_numbers(ask, own_plan, dataset, name, form):
    data = form(dataset)
    plan = own_plan(name, "attention" if form is as_tokens else "linear")
    resident = ask(name, train, plan, data, splits=list(Split))
    stream = ask(name, train, replace(plan, pipeline="stream"), data, splits=list(Split))
    same_bytes(resident, stream)
    for split in Split:
        assert resident.evaluations[split].loss == stream.evaluations[split].loss


def test_rows_are_standardised_feature_by_feature(ask, own_plan, dataset):
    data = as_features(dataset)
    mean, deviation = np.linspace(-1, 1, 784, dtype=np.float32), np.linspace(0.5, 2, 784, dtype=np.float32)
    plan = own_plan("torch", "linear")
    found = ask("torch", train, replace(plan, standardisation=Standardisation(mean, deviation)), data)
    scaled = replace(data, x_train=(data.x_train - mean) / deviation)
    same_bytes(found, ask("torch", train, plan, scaled))


def test_images_may_be_viewed_as_rows(ask, own_plan, dataset):
    colour = replace(dataset, **{x: np.repeat(getattr(dataset, x), 3, axis=-1) for x in ("x_train", "x_test")})
    assert np.isfinite(ask("torch", train, own_plan("torch", "view"), colour).log.loss).all()


@pytest.mark.parametrize("name", BOTH)
def test_the_seed_alone_decides_the_initial_weights(ask, own_plan, dataset, name):
    first = ask(name, network_of, own_plan(name, "cnn"), dataset)
    other_arm = own_plan(name, "cnn", optimizer=OptimizerSettings("sgd"))
    assert ask(name, network_of, other_arm, dataset) == first
    assert ask(name, network_of, own_plan(name, "cnn", seed=SEED + 1), dataset).initial_weights != first.initial_weights
    assert ask(name, network_of, own_plan(name, "cnn", width=7), dataset).initial_weights != first.initial_weights
    assert (first.draws, first.is_seeded, first.warnings) == (True, True, ())
    by_hand = {"torch": 6 * 9 + 6 + 6 + 6 + 36 * 9 + 6 + 6 + 6 + 216 * 10 + 10, "keras": 60 + 12 + 1014 * 10 + 10}
    assert first.num_parameters == by_hand[name]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("linear", None),
        ("softmax", "look like a softmax's"),
        ("sigmoid", "look like a sigmoid's"),
        (
            "pretrained",
            "the same for every seed, as those of a pretrained network are; the seeds vary only the batches",
        ),
    ],
)
def test_what_looks_unmeant_is_warned_about(ask, own_plan, dataset, name, function, words):
    found = ask(name, network_of, own_plan(name, function), dataset)
    assert len(found.warnings) == (words is not None)
    assert words is None or words in found.warnings[0]
    assert found.is_seeded == (function != "pretrained")


def test_logits_of_zero_are_no_probabilities(ask, own_plan, dataset):
    (warning,) = ask("torch", network_of, own_plan("torch", "zeros"), dataset).warnings
    assert "same for every seed" in warning


BOTH = {
    "nothing": "returned a NoneType; allowed: a",
    "too_few": r"for 20 rows its outputs have the shape \(20, 9\); allowed: \(20, 10\)",
    "half": "is float16.*allowed: float32",
    "by_the_clock": "two builds from one seed differ, first in",
    "shared_module": "it returned the same mod",
    "frozen": "no trainable",
    "pair": "its output is a (tuple|list); allowed: a tensor",
    "wrong_size": "the first forward pass raised|calling the network raised",
    "raising": "building the network raised RuntimeError: no such thing",
}
REFUSED = {
    "torch": {
        **BOTH,
        "keras_model": r"returned a keras.Model where the backend expects a torch.nn.Module; set backends: \[keras\]",
        "double": "is float64",
        "detached": "depend on no trainable parameter",
        "squeezed": r"for 1 row its outputs have the shape \(10,\)",
        "sparse": "sparse gradients",
        "brain": "its buffer mean is bfloat16; allowed: a type that numpy has",
    },
    "keras": {
        **BOTH,
        "torch_module": r"returned a torch.nn.Module where the backend expects a keras.Model; set backends: \[torch\]",
        "mixed": "its outputs are float16",
    },
}


@pytest.mark.parametrize(
    ("name", "function"), [(name, function) for name, cases in REFUSED.items() for function in cases]
)
def test_what_cannot_be_used_is_refused_before_training(ask, own_plan, dataset, name, function):
    message = ask(name, fail_to_build, own_plan(name, function), dataset)
    with pytest.raises(BackendError, match=REFUSED[name][function]):
        raise BackendError(message)
    assert f"{name}_networks.py:{function}" in message


def test_an_option_that_is_not_known_is_said(ask, own_plan, dataset):
    message = ask("torch", fail_to_build, own_plan("torch", "cnn", widht=3), dataset)
    assert "unexpected keyword argument 'widht'" in message

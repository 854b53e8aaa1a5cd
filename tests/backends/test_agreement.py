"""Torch against Keras: the same weights, batches and rates must give the same losses, up to rounding."""

from dataclasses import replace

import numpy as np
import pytest
from cases import ADAPTIVE, MLP, SEED, label, rates, shared, triangular
from jobs import train

from clrbench.models import ModelSettings
from clrbench.parity import NUM_CONTROLS, Judgement, judge, nudged
from clrbench.records import OptimizerSettings
from clrbench.spec import BACKEND_NAMES as BACKENDS

CNN = ModelSettings("cnn")
MOMENTUM = shared("sgd", momentum=0.9)


@pytest.fixture(scope="session")
def compare(ask, dataset):
    """Train a plan on both backends, and on each its controls, and judge the losses; torch may be given another plan."""
    known = {}

    def of_backend(name, plan):
        key = name, plan.layers, plan.optimizer, plan.lr.tobytes(), plan.batches.tobytes()
        if key not in known:
            first_control = SEED * 1000 + BACKENDS.index(name) * NUM_CONTROLS
            controls = range(first_control, first_control + NUM_CONTROLS)
            plans = (plan, *(replace(plan, weights=nudged(plan.weights, control)) for control in controls))
            known[key] = [ask(name, train, each, dataset).log.loss for each in plans]
        return known[key]

    def do(plan, tolerance, *, on_torch=None):
        (torch, *torch_controls), (keras, *keras_controls) = (
            of_backend("torch", on_torch or plan),
            of_backend("keras", plan),
        )
        return judge((torch, keras), (torch_controls, keras_controls), tolerance=tolerance)

    return do


@pytest.mark.parametrize("optimizer", [shared("sgd"), MOMENTUM], ids=["plain", "momentum"])
def test_sgd_agrees_for_a_hundred_steps_of_a_changing_rate(compare, make_plan, optimizer):
    parity = compare(make_plan(MLP, optimizer, triangular(100)), 1e-5)
    assert parity.judgement is Judgement.SAME
    assert parity.largest_ratio <= 10


# The rest agree with numpy, one by one, in `test_contract.py`.
SOME = [shared("adam"), shared("adamw", weight_decay=1.0)]
REST = [pytest.param(rule, marks=pytest.mark.acceptance) for rule in ADAPTIVE if rule not in SOME]


@pytest.mark.parametrize("optimizer", [*SOME, *REST], ids=label)
def test_other_rules_agree(compare, make_plan, optimizer):
    parity = compare(make_plan(MLP, optimizer, rates(optimizer, 20)), 1e-5)
    assert parity.judgement is Judgement.SAME
    assert parity.largest_ratio <= 10


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(CNN, marks=pytest.mark.acceptance),
        pytest.param(ModelSettings("cnn", batch_norm=True), marks=pytest.mark.acceptance),
        pytest.param(ModelSettings("lenet5"), marks=pytest.mark.acceptance),
        pytest.param(ModelSettings("lenet5", activation="tanh"), marks=pytest.mark.acceptance),
        pytest.param(ModelSettings("resnet8", activation="tanh"), marks=pytest.mark.acceptance),
        pytest.param(ModelSettings("resnet8"), marks=pytest.mark.acceptance),
        pytest.param(ModelSettings("cnn", batch_norm=True, activation="elu"), marks=pytest.mark.acceptance),
        ModelSettings("mlp", batch_norm=True, activation="gelu"),
        ModelSettings("mlp", activation="sigmoid"),
        pytest.param(ModelSettings("mlp", activation="softmax"), marks=pytest.mark.acceptance),
    ],
    ids=lambda model: f"{model.name}{'-norm' * model.batch_norm}-{model.activation}",
)
def test_architectures_part_no_faster_than_a_rounding_grows(compare, make_plan, model):
    parity = compare(make_plan(model, MOMENTUM, triangular(15), batch_size=20), 1e-5)
    assert parity.difference[0] < 1e-6
    assert parity.control_growth[0] < 1e-5
    assert parity.judgement is not Judgement.BUG
    assert parity.largest_ratio <= 10


def test_native_momentum_differs_where_the_rate_changes_and_nowhere_else(compare, make_plan):
    native = OptimizerSettings("sgd", momentum=0.9)
    assert compare(make_plan(MLP, native, triangular(20)), 1e-5).judgement is Judgement.BUG
    assert compare(make_plan(MLP, native, np.full(20, 0.03)), 1e-5).judgement is Judgement.SAME


@pytest.mark.acceptance
@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_native_epsilons_differ(compare, make_plan, name):
    assert compare(make_plan(MLP, OptimizerSettings(name), np.full(20, 1e-3)), 1e-5).judgement is Judgement.BUG


NESTEROV = shared("sgd", momentum=0.9, nesterov=True)
DECAY = shared("sgd", momentum=0.9, weight_decay=0.01)
MISTAKES = {
    "look-ahead lost": (NESTEROV, lambda plan: replace(plan, optimizer=MOMENTUM)),
    "momentum inside for outside": (
        MOMENTUM,
        lambda plan: replace(plan, optimizer=replace(MOMENTUM, update_rule="native")),
    ),
    "epsilon elsewhere": (shared("adam"), lambda plan: replace(plan, optimizer=OptimizerSettings("adam"))),
    "momentum lost": (MOMENTUM, lambda plan: replace(plan, optimizer=shared("sgd"))),
    "decay lost": (DECAY, lambda plan: replace(plan, optimizer=MOMENTUM)),
    "decay coupled": (
        shared("adamw", weight_decay=1.0),
        lambda plan: replace(plan, optimizer=shared("adam", weight_decay=1.0)),
    ),
    "rate one step early": (MOMENTUM, lambda plan: replace(plan, lr=np.append(plan.lr[1:], plan.lr[-1]))),
    "rate one step late": (MOMENTUM, lambda plan: replace(plan, lr=np.append(plan.lr[0], plan.lr[:-1]))),
}


@pytest.mark.parametrize("model", [MLP, pytest.param(CNN, marks=pytest.mark.acceptance)], ids=["mlp", "cnn"])
@pytest.mark.parametrize(
    ("optimizer", "mistake"),
    [
        pytest.param(*case, id=name, marks=[] if case[0] in (MOMENTUM, SOME[0]) else pytest.mark.acceptance)
        for name, case in MISTAKES.items()
    ],
)
def test_a_mistake_in_one_backend_is_a_bug(compare, make_plan, model, optimizer, mistake):
    plan = make_plan(model, optimizer, rates(optimizer, 20), batch_size=20)
    assert compare(plan, 1e-5, on_torch=mistake(plan)).judgement is Judgement.BUG


@pytest.mark.acceptance
@pytest.mark.parametrize(("update_rule", "factor"), [("native", 20 / 19), ("shared", 1.0)])
def test_moving_variances_of_torch_are_over_n_minus_one_unless_shared(ask, make_plan, dataset, update_rule, factor):
    model = ModelSettings("mlp", hidden=(30,), batch_norm=True)
    plan = make_plan(model, OptimizerSettings("sgd", update_rule=update_rule), np.full(1, 0.01), batch_size=20)
    torch, keras = (
        ask(name, train, plan, dataset).state["02.batch_norm.moving_variance"].astype(float) for name in BACKENDS
    )
    np.testing.assert_allclose(torch - 0.9, factor * (keras - 0.9), rtol=1e-4)

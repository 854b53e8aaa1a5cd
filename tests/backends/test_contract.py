"""What every backend must do, asked of each in its own process."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import ADAPTIVE, MLP, label, rates, same_scores, shared, triangular
from jobs import allows_tf32, call, count_compilations, imported_by_training, train

from clrbench.layers import BatchNorm, Dense, Flatten, Residual
from clrbench.models import ModelSettings, weight_shapes
from clrbench.records import OptimizerSettings, Split

NOISY_CNN = ModelSettings("cnn", dropout=0.3, batch_norm=True)


def same_bytes(first, second):
    fields = ("lr", "loss", "accuracy")
    assert [getattr(first.log, field).tobytes() for field in fields] == [
        getattr(second.log, field).tobytes() for field in fields
    ]
    assert {name: array.tobytes() for name, array in first.state.items()} == {
        name: array.tobytes() for name, array in second.state.items()
    }


@pytest.mark.parametrize("optimizer", [shared("sgd"), shared("sgd", momentum=0.9), *ADAPTIVE], ids=label)
def test_first_losses_and_weights_match_numpy(backend, expect, make_plan, dataset, optimizer):
    plan = make_plan(MLP, optimizer, rates(optimizer, 20))
    losses, accuracies, weights = expect(plan)
    outcome = backend(train, plan, dataset)
    np.testing.assert_allclose(outcome.log.loss, losses, rtol=1e-4)
    np.testing.assert_allclose(outcome.log.accuracy, accuracies, atol=1e-6)
    np.testing.assert_array_equal(outcome.log.lr, plan.lr)
    for name, weight in weights.items():
        # Adam moves a weight by its gradient's sign at first, and that of a gradient near 0 is a matter of rounding.
        assert np.linalg.norm(outcome.state[name] - weight) < 0.01 * np.linalg.norm(weight - plan.weights[name])


@pytest.mark.parametrize(
    ("optimizer", "lr"),
    [
        pytest.param(OptimizerSettings("sgd", momentum=0.9), 0.03, marks=pytest.mark.acceptance),
        (OptimizerSettings("sgd", momentum=0.9, nesterov=True), 0.03),
        (OptimizerSettings("adam"), 0.001),
        pytest.param(OptimizerSettings("adamw", weight_decay=0.01), 0.001, marks=pytest.mark.acceptance),
        (OptimizerSettings("rmsprop"), 0.001),
        pytest.param(OptimizerSettings("adagrad", weight_decay=0.001), 0.05, marks=pytest.mark.acceptance),
        pytest.param(OptimizerSettings("adadelta"), 1.0, marks=pytest.mark.acceptance),
    ],
    ids=lambda case: label(case) if isinstance(case, OptimizerSettings) else "",
)
def test_native_rules_stay_close_to_the_shared_ones(backend, expect, make_plan, dataset, optimizer, lr):
    plan = make_plan(MLP, optimizer, np.full(20, lr))
    losses, _, _ = expect(plan)
    log = backend(train, plan, dataset).log
    assert log.loss[-1] < 0.8 * log.loss[0]
    # Where a framework adds epsilon moves the losses by percents at most.
    np.testing.assert_allclose(log.loss, losses, rtol=0.05)


@pytest.mark.parametrize("splits", [[], [0, 1, 7, 7, 19]], ids=["at once", "in stretches"])
def test_a_stretch_may_have_any_length(backend, make_plan, dataset, splits):
    plan = make_plan(MLP, shared("sgd", momentum=0.9), triangular(20))
    parts = backend(train, plan, dataset, cuts=splits)
    same_bytes(parts, backend(train, plan, dataset))
    assert [len(parts.log.lr), len(parts.log.loss), len(parts.log.accuracy)] == [20, 20, 20]


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        (MLP, OptimizerSettings("sgd", momentum=0.9)),
        pytest.param(MLP, shared("sgd", momentum=0.9), marks=pytest.mark.acceptance),
        pytest.param(MLP, shared("sgd", momentum=0.9, nesterov=True), marks=pytest.mark.acceptance),
        (MLP, OptimizerSettings("adam")),
        pytest.param(MLP, shared("adam"), marks=pytest.mark.acceptance),
        pytest.param(MLP, shared("rmsprop"), marks=pytest.mark.acceptance),
        pytest.param(MLP, OptimizerSettings("adadelta"), marks=pytest.mark.acceptance),
        pytest.param(NOISY_CNN, OptimizerSettings("sgd", momentum=0.9), marks=pytest.mark.acceptance),
        pytest.param(NOISY_CNN, shared("adamw", weight_decay=0.01), marks=pytest.mark.acceptance),
    ],
    ids=lambda case: case.name if isinstance(case, ModelSettings) else label(case),
)
def test_a_fresh_trainer_continues_bit_for_bit(backend, make_plan, dataset, model, optimizer):
    plan = make_plan(model, optimizer, rates(optimizer, 8), batch_size=20)
    whole = backend(train, plan, dataset, splits=[Split.TEST])
    parts = backend(train, plan, dataset, cuts=[3, 6], splits=[Split.TEST])
    same_bytes(whole, parts)
    same_scores(whole, parts)


def test_two_trainers_of_one_plan_give_the_same_bytes(backend, make_plan, dataset):
    plan = make_plan(NOISY_CNN, OptimizerSettings("sgd", momentum=0.9), triangular(6), batch_size=20)
    same_bytes(backend(train, plan, dataset), backend(train, plan, dataset))


def test_nothing_is_left_over_from_an_earlier_run(backend, make_plan, dataset):
    plan = make_plan(NOISY_CNN, OptimizerSettings("adam"), np.full(4, 1e-3), batch_size=20, seed=5)
    first = backend(train, plan, dataset)
    backend(train, replace(plan, lr=plan.lr * 100, dropout_seed=7), dataset)
    same_bytes(first, backend(train, plan, dataset))


def test_weights_stand_under_their_names_in_the_layout_of_models(backend, make_plan, dataset):
    plan = make_plan(ModelSettings("resnet8"), shared("sgd"), [], batch_size=10)
    state = backend(train, plan, dataset).state
    for name, shape in weight_shapes(plan.layers, dataset.image_shape).items():
        assert state[name].shape == shape
        np.testing.assert_array_equal(state[name], plan.weights[name])
    assert state["01.batch_norm.moving_variance"].tolist() == [1.0] * 16


def test_evaluation_is_over_every_row_of_the_split_once(backend, make_plan, dataset):
    plan = make_plan(MLP, shared("sgd", momentum=0.9), np.full(20, 0.05))
    outcome = backend(train, plan, dataset, splits=[Split.TRAIN, Split.VALIDATION, Split.TEST])
    for split, images, labels, rows in (
        (Split.TRAIN, dataset.x_train, dataset.y_train, plan.rows.train),
        (Split.VALIDATION, dataset.x_train, dataset.y_train, plan.rows.validation),
        (Split.TEST, dataset.x_test, dataset.y_test, plan.rows.test),
    ):
        weights = {name: outcome.state[name] for name in plan.weights}
        loss, hits = reference.evaluate(weights, images[rows], labels[rows])
        assert outcome.evaluations[split].loss == pytest.approx(loss, rel=1e-6)
        np.testing.assert_array_equal(outcome.evaluations[split].hits, hits, strict=True)
        assert outcome.evaluations[split].accuracy == hits.mean()


def test_an_empty_split_evaluates_to_nan(backend, make_plan, dataset):
    plan = make_plan(MLP, shared("sgd"), [])
    plan = replace(plan, rows=replace(plan.rows, validation=np.empty(0, np.int32)))
    evaluation = backend(train, plan, dataset, splits=[Split.VALIDATION]).evaluations[Split.VALIDATION]
    assert np.isnan([evaluation.loss, evaluation.accuracy]).all()
    assert (evaluation.hits.dtype, evaluation.hits.shape) == (np.bool_, (0,))


def test_float_images_are_used_as_they_are(backend, make_plan, dataset):
    plan = make_plan(MLP, shared("sgd", momentum=0.9), np.full(10, 0.02))
    scaled = replace(dataset, **{x: getattr(dataset, x).astype(np.float32) / 255 for x in ("x_train", "x_test")})
    as_bytes, as_floats = (backend(train, plan, images, splits=[Split.TEST]) for images in (dataset, scaled))
    np.testing.assert_allclose(as_bytes.log.loss, as_floats.log.loss, rtol=1e-6)
    assert as_bytes.evaluations[Split.TEST].loss == pytest.approx(as_floats.evaluations[Split.TEST].loss, rel=1e-6)


def test_dropout_drops_while_training_only(backend, make_plan, dataset):
    dry = make_plan(MLP, shared("sgd"), np.full(3, 0.01))
    wet = make_plan(replace(MLP, dropout=0.5), shared("sgd"), np.full(3, 0.01))
    wet = replace(wet, weights=dict(zip(wet.weights, dry.weights.values(), strict=True)))
    without, dropped = (
        backend(train, replace(plan, lr=plan.lr * 1e-9), dataset, splits=[Split.TEST]) for plan in (dry, wet)
    )
    assert (abs(dropped.log.loss - without.log.loss) > 1e-3).all()
    assert dropped.evaluations[Split.TEST].loss == pytest.approx(without.evaluations[Split.TEST].loss, rel=1e-6)
    other = backend(train, replace(wet, dropout_seed=1), dataset)
    assert (dropped.log.loss != other.log.loss).all()


@pytest.mark.acceptance
def test_dropout_keeps_the_mean_and_drops_the_fraction(backend, make_plan, dataset):
    plan = make_plan(ModelSettings("mlp", hidden=(4000,), activation="linear", dropout=0.25), shared("sgd"), [1e-9])
    plan = replace(plan, batches=plan.batches[:, :20])
    # With equal logit weights of one class, the loss shows the sum over what was kept.
    weights = {name: np.zeros_like(weight) for name, weight in plan.weights.items()}
    weights["01.dense.bias"] += 1
    weights["04.dense.kernel"][:, 0] = 1 / 4000
    loss = backend(train, replace(plan, weights=weights), dataset).log.loss[0]
    zeros = (dataset.y_train[plan.batches[0]] == 0).mean()
    assert loss == pytest.approx(np.log(np.exp(1) + 9) - zeros, abs=0.02)


def test_torch_computes_in_float32(ask, make_plan, dataset):
    ask("torch", train, make_plan(MLP, shared("sgd"), []), dataset)
    assert ask("torch", allows_tf32) == (False, False)


def test_a_run_that_diverges_goes_on(backend, make_plan, dataset):
    log = backend(train, make_plan(MLP, shared("sgd", momentum=0.9), np.full(20, 1e20)), dataset).log
    assert np.isfinite(log.loss[0])
    assert not np.isfinite(log.loss[-1])
    np.testing.assert_array_equal(log.lr, np.float32(1e20))


def test_batch_norm_uses_the_batch_while_training_and_keeps_nine_tenths_of_its_statistics(backend, make_plan, dataset):
    plan = make_plan(MLP, shared("sgd"), [1e-9], batch_size=50)
    layers = (Flatten(), BatchNorm(), Dense(10))
    rng = np.random.default_rng(0)
    weights = {"02.dense.kernel": rng.normal(0, 0.1, (784, 10)), "02.dense.bias": np.zeros(10)}
    weights |= {"01.batch_norm.gamma": rng.uniform(0.5, 2, 784), "01.batch_norm.beta": rng.normal(0, 1, 784)}
    weights = {name: weight.astype(np.float32) for name, weight in weights.items()}
    outcome = backend(train, replace(plan, layers=layers, weights=weights), dataset, splits=[Split.TEST])

    def loss(rows, images, labels, mean, variance):
        pixels = (images[rows] / 255).reshape(len(rows), -1)
        values = (pixels - mean) / np.sqrt(variance + 1e-3) * weights["01.batch_norm.gamma"]
        logits = (values + weights["01.batch_norm.beta"]) @ weights["02.dense.kernel"]
        return reference.cross_entropy(logits, labels[rows])[0].mean()

    batch = (dataset.x_train[plan.batches[0]] / 255).reshape(50, -1)
    mean, variance = batch.mean(0), batch.var(0)
    np.testing.assert_allclose(outcome.state["01.batch_norm.moving_mean"], 0.1 * mean, atol=1e-6)
    np.testing.assert_allclose(outcome.state["01.batch_norm.moving_variance"], 0.9 + 0.1 * variance, atol=1e-6)
    expected = loss(plan.batches[0], dataset.x_train, dataset.y_train, mean, variance)
    assert outcome.log.loss[0] == pytest.approx(expected, rel=1e-5)
    expected = loss(plan.rows.test, dataset.x_test, dataset.y_test, 0.1 * mean, 0.9 + 0.1 * variance)
    assert outcome.evaluations[Split.TEST].loss == pytest.approx(expected, rel=1e-5)


def test_an_empty_shortcut_is_the_input_itself(backend, make_plan, dataset):
    plan = make_plan(ModelSettings("mlp", hidden=()), shared("sgd"), [1e-9])
    kernel, bias = plan.weights["01.dense.kernel"], plan.weights["01.dense.bias"]
    square = Residual((Dense(10),))
    weights = {"01.dense.kernel": kernel, "01.dense.bias": bias}
    weights |= {"02.body.00.dense.kernel": 0.5 * np.eye(10, dtype=np.float32), "02.body.00.dense.bias": bias}
    outcome = backend(train, replace(plan, layers=(Flatten(), Dense(10), square), weights=weights), dataset)
    doubled = {"01.dense.kernel": 1.5 * kernel, "01.dense.bias": bias}
    rows = plan.batches[0]
    expected, _ = reference.evaluate(doubled, dataset.x_train[rows], dataset.y_train[rows])
    assert outcome.log.loss[0] == pytest.approx(expected, rel=1e-5)


def test_the_cpu_is_always_there_and_a_missing_device_names_what_is(backend):
    assert backend(call, "find_device", "cpu") == "cpu"
    assert "choose auto or" in backend(call, "find_device", "tpu")


def test_versions_name_the_packages(backend):
    packages = {"torch": ["torch"], "keras": ["keras", "tensorflow"]}[backend.name]
    versions = backend(call, "versions")
    assert list(versions) == packages
    assert all(version[0].isdigit() for version in versions.values())


def test_keras_compiles_once_for_runs_that_differ_in_seed_schedule_or_length(ask, make_plan, dataset):
    plans = [
        make_plan(
            ModelSettings("mlp", hidden=(9,), dropout=0.1), shared("sgd", momentum=0.5), triangular(steps), seed=steps
        )
        for steps in (5, 8, 13)
    ]
    assert ask("keras", count_compilations, plans, dataset) == [[1, 1]] * 3


def test_keras_threads_are_fixed_once_tensorflow_runs(ask, make_plan, dataset):
    ask("keras", train, make_plan(MLP, shared("sgd"), []), dataset)
    assert "TensorFlow has already started" in ask("keras", call, "set_threads", 2)


def test_training_on_torch_imports_none_of_its_compiler_which_takes_longer_than_torch_itself(ask, make_plan, dataset):
    for optimizer in (shared("sgd"), OptimizerSettings("sgd"), OptimizerSettings("adam"), OptimizerSettings("adagrad")):
        found = ask("torch", imported_by_training, make_plan(MLP, optimizer, np.full(2, 0.01)), dataset)
        assert "torch._dynamo" not in found

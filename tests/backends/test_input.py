"""How images reach the network: scaled, standardised, from memory or from a file, on each backend."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import MLP, same_scores, shared
from jobs import adopt, convolution_layouts, feed_and_train, stream, train

from clrbench.backends import pieces
from clrbench.backends.common import evaluation_rows
from clrbench.models import ModelSettings
from clrbench.records import OptimizerSettings, Split, Standardisation

MOMENTUM = OptimizerSettings("sgd", momentum=0.9)
NOISY_MLP = ModelSettings("mlp", hidden=(30,), dropout=0.3, batch_norm=True)
NOISY_CNN = replace(NOISY_MLP, name="cnn")


def standardisation(*means_and_deviations):
    mean, deviation = np.array(means_and_deviations, np.float32).T
    return Standardisation(mean, deviation)


def as_bytes(dataset):
    return dataset


def as_floats(dataset):
    return replace(dataset, **{x: getattr(dataset, x).astype(np.float32) / 255 for x in ("x_train", "x_test")})


@pytest.fixture(scope="session")
def in_colour(dataset):
    """Return the images in three channels that differ."""
    return replace(
        dataset,
        **{x: np.concatenate([getattr(dataset, x) // n for n in (1, 2, 3)], -1) for x in ("x_train", "x_test")},
    )


@pytest.mark.parametrize("as_type", [as_bytes, as_floats])
def test_each_channel_is_standardised_by_numbers_of_its_own(backend, make_plan, in_colour, as_type):
    scale = standardisation((0.13, 0.3), (0.07, 0.2), (0.0, 4.0))
    plan = make_plan(MLP, shared("sgd"), np.full(2, 1e-9), dataset=in_colour)
    outcome = backend(train, replace(plan, standardisation=scale), as_type(in_colour), splits=[Split.TEST])

    def standardised(images):
        return 255 * ((images / 255 - scale.mean.astype(float)) / scale.deviation)

    for images, labels, found in (
        (in_colour.x_train[plan.batches[0]], in_colour.y_train[plan.batches[0]], outcome.log.loss[0]),
        (in_colour.x_test[:450], in_colour.y_test[:450], outcome.evaluations[Split.TEST].loss),
    ):
        expected, _ = reference.evaluate(plan.weights, standardised(images), labels)
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_run_that_is_not_standardised_may_follow_one_that_is(backend, make_plan, dataset):
    plan = make_plan(MLP, MOMENTUM, np.full(3, 0.02))
    scales = [None, standardisation((0.1, 0.3)), standardisation((0.2, 0.3)), None]
    losses = [backend(train, replace(plan, standardisation=scale), dataset).log.loss.tolist() for scale in scales]
    assert losses[0] == losses[3]
    assert losses[0] != losses[1] != losses[2] != losses[0]


@pytest.fixture
def ask_both(backend, dataset, tmp_path):
    """Train a plan on images in memory, and as a stream from files; return both outcomes, and the rows of each read."""

    def do(plan, as_type, rows_at_once):
        images = as_type(dataset)
        resident = backend(train, plan, images, splits=list(Split))
        return resident, *backend(stream, plan, images, tmp_path, rows_at_once)

    return do


@pytest.mark.parametrize(
    ("model", "as_type", "scale"),
    [
        pytest.param(NOISY_CNN, as_bytes, standardisation((0.13, 0.31)), marks=pytest.mark.acceptance),
        pytest.param(NOISY_MLP, as_bytes, None, marks=pytest.mark.acceptance),
        pytest.param(NOISY_MLP, as_floats, None, marks=pytest.mark.acceptance),
        (NOISY_MLP, as_floats, standardisation((0.13, 0.31))),
    ],
    ids=["cnn-bytes-standardised", "mlp-bytes", "mlp-floats", "mlp-floats-standardised"],
)
def test_a_stream_gives_the_bytes_that_resident_images_give(ask_both, make_plan, model, as_type, scale):
    plan = replace(make_plan(model, MOMENTUM, np.linspace(0.01, 0.1, 10)), standardisation=scale)
    plan = replace(plan, rows=replace(plan.rows, train=plan.rows.train[:710]))
    resident, streamed, reads = ask_both(plan, as_type, rows_at_once=700)
    for name in ("lr", "loss", "accuracy"):
        assert getattr(streamed.log, name).tobytes() == getattr(resident.log, name).tobytes()
    assert {name: array.tobytes() for name, array in streamed.state.items()} == {
        name: array.tobytes() for name, array in resident.state.items()
    }
    same_scores(streamed, resident)
    # A piece of batches is what fits; one of rows to evaluate holds whole chunks, at least one.
    chunk = evaluation_rows(plan.layers, (28, 28, 1))
    piece = chunk * max(1, 700 // chunk)
    pieces_read = [min(piece, rows - start) for rows in (710, 500, 450) for start in range(0, rows, piece)]
    assert (sum(reads[:2]), reads[2:]) == (1000, pieces_read)
    assert max(reads[:2]) <= 700


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_feeding_changes_nothing(backend, make_plan, dataset, pipeline):
    plan = replace(make_plan(NOISY_MLP, MOMENTUM, np.full(4, 0.02)), pipeline=pipeline)
    (before, after), outcome = backend(feed_and_train, plan, dataset)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    assert outcome.log.loss.tobytes() == backend(train, plan, dataset).log.loss.tobytes()


@pytest.mark.parametrize("pipeline", ["resident", "stream"])
def test_no_batches_may_be_fed_and_trained(backend, make_plan, dataset, pipeline):
    plan = replace(make_plan(NOISY_MLP, MOMENTUM, []), pipeline=pipeline)
    (before, after), outcome = backend(feed_and_train, plan, dataset)
    assert [len(outcome.log.lr), len(outcome.log.loss), len(outcome.log.accuracy)] == [0, 0, 0]
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
        np.testing.assert_array_equal(outcome.state[name], array)


def images(kind, folder):
    values = np.random.default_rng(0).integers(0, 256, (301, 7, 5, 3), np.uint8)
    if kind == "floats":
        return values.astype(np.float32)
    if kind == "unaligned":
        memory = np.empty(values.nbytes + 65, np.uint8)
        start = -memory.ctypes.data % 64 + 1
        found = memory[start : start + values.nbytes].reshape(values.shape)
        found[:] = values
        return found
    if kind == "mapped":
        np.save(folder / "images.npy", values)
        return np.load(folder / "images.npy", mmap_mode="r")
    return {"read-only": np.broadcast_to(values, values.shape), "strided": values[::3, ::-1], "none": values[:0]}[kind]


@pytest.mark.parametrize("kind", ["floats", "unaligned", "mapped", "read-only", "strided", "none"])
def test_keras_takes_any_array_intact_and_keeps_it(ask, tmp_path, kind):
    found = images(kind, tmp_path)
    adopted = ask("keras", adopt, found)
    assert adopted.dtype == found.dtype
    np.testing.assert_array_equal(adopted, found)


def test_pieces_are_in_order_and_of_whole_units(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1000)
    images = np.empty((99, 4, 5, 1), np.uint8)
    batches = np.random.default_rng(0).integers(0, 99, (7, 20), np.int32)
    found = pieces.cut(batches, images)
    assert [piece.shape for piece in found] == [(2, 20), (2, 20), (2, 20), (1, 20)]
    np.testing.assert_array_equal(np.concatenate(found), batches)
    rows = np.arange(99, dtype=np.int32)
    assert [len(piece) for piece in pieces.cut(rows, images, unit=20)] == [40, 40, 19]
    assert [len(piece) for piece in pieces.cut(rows, images, unit=60)] == [60, 39]
    assert [len(piece) for piece in pieces.cut(rows, images.astype(np.float32))] == [12] * 8 + [3]
    read = images[found[0].ravel()]
    np.testing.assert_array_equal(read[pieces.rows_within(found[0])], images[found[0]])


@pytest.mark.parametrize("as_type", [as_bytes, as_floats])
@pytest.mark.parametrize("name", ["cnn", "resnet8"])
def test_torch_convolves_with_channels_last_without_being_told(ask, make_plan, in_colour, as_type, name):
    plan = make_plan(ModelSettings(name), shared("sgd"), np.full(2, 1e-3), dataset=in_colour)
    found = ask("torch", convolution_layouts, plan, as_type(in_colour))
    assert len(found) >= 4
    assert all(found)

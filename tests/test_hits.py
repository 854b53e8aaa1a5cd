"""Hits against plain loops over rows: counts, the mean over classes, and bits."""

import math

import numpy as np
import pytest

from clrbench.hits import balanced_accuracy, count_by_class, pack, unpack


def recall_by_class(truth: list[int], answers: list[int]) -> float:
    """Return balanced accuracy as scikit-learn defines it: the mean recall over the classes that occur in `truth`."""
    confusion = np.zeros((max(truth + answers) + 1,) * 2)
    np.add.at(confusion, (truth, answers), 1)
    with np.errstate(invalid="ignore"):
        recalls = np.diag(confusion) / confusion.sum(axis=1)
    return float(np.mean(recalls[~np.isnan(recalls)]))


@pytest.mark.parametrize("seed", range(20))
def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_have_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(2, 12))
    shares = rng.dirichlet(np.full(num_classes, 0.3))
    truth = rng.choice(num_classes, int(rng.integers(1, 300)), p=shares).astype(np.int32)
    answers = np.where(rng.random(len(truth)) < 0.6, truth, rng.integers(0, num_classes, len(truth)))
    counts = (count_by_class(classes, num_classes) for classes in (truth[answers == truth], truth))
    expected = recall_by_class(truth.tolist(), answers.tolist())
    assert balanced_accuracy(*counts) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("hits", "rows", "expected"),
    [
        ((90, 0), (90, 10), 0.5),
        ((90, 10), (90, 10), 1.0),
        ((0, 0, 0), (5, 5, 5), 0.0),
        ((1, 0, 2), (2, 0, 2), 0.75),
        ((7,), (10,), 0.7),
        ((0, 0), (0, 0), math.nan),
        ((), (), math.nan),
    ],
    ids=["majority", "all right", "none right", "a class without rows", "one class", "no rows", "no classes"],
)
def test_balanced_accuracy_of_a_few(hits: tuple[int, ...], rows: tuple[int, ...], expected: float) -> None:
    assert balanced_accuracy(hits, rows) == pytest.approx(expected, nan_ok=True)


def test_rows_are_counted_for_classes_that_do_not_occur_too() -> None:
    assert count_by_class(np.array([2, 0, 2, 1, 2], np.int32), 5) == (1, 1, 3, 0, 0)
    assert count_by_class(np.empty(0, np.int32), 3) == (0, 0, 0)


@pytest.mark.parametrize("num_rows", [0, 1, 7, 8, 9, 64, 1001])
def test_hits_are_packed_into_bits_and_back(num_rows: int) -> None:
    hits = np.random.default_rng(num_rows).random(num_rows) < 0.5
    packed = pack(hits)
    assert (packed.dtype, packed.shape) == (np.uint8, (math.ceil(num_rows / 8),))
    np.testing.assert_array_equal(unpack(packed, num_rows), hits, strict=True)
    bits = "".join("01"[hit] for hit in hits.tolist()).ljust(8 * len(packed), "0")
    assert packed.tobytes() == bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


@pytest.mark.parametrize("num_rows", [0, 8, 17, 10**12])
def test_bits_of_another_number_of_rows_are_refused(num_rows: int) -> None:
    with pytest.raises(ValueError, match=f"which are not the bits of {num_rows} rows"):
        unpack(pack(np.ones(9, np.bool_)), num_rows)

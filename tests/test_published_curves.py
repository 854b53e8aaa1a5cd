"""Range-test curves that others published, with what an expert reads off each: tests/data/range_test/published/SOURCES.md."""

from pathlib import Path

import pandas as pd
import pytest

from clrbench.range_test import LOSS_ONLY, suggest_bounds

CURVES = Path(__file__).parent / "data" / "range_test" / "published"


def bounds(name, loss, accuracy=None):
    table = pd.read_csv(CURVES / f"{name}.csv")
    return suggest_bounds(table["lr"], table[loss], None if accuracy is None else table[accuracy])


def test_a_plateau_begins_where_accuracy_stops_rising():
    found = bounds("cifar10-caffe-linear-a", "val_loss", "val_acc")
    assert 0.02 <= found.max_lr <= 0.035
    assert 0.001 <= found.base_lr <= 0.0015


def test_accuracy_that_still_rises_at_the_end_has_no_max_lr():
    found = bounds("cifar10-caffe-linear-b", "val_loss", "val_acc")
    assert (found.max_lr, found.constant_lr) == (None, None)
    assert found.reason.startswith("never stops rising")


def test_adam_on_circles():
    found = bounds("circles-adam", "loss", "accuracy")
    assert 0.012 <= found.max_lr <= 0.035


def test_an_onset_before_the_first_rate_is_no_base_lr():
    found = bounds("fashion-adam", "val_loss", "val_acc")
    assert 0.005 <= found.max_lr <= 0.01
    assert found.base_lr is None
    assert found.caveats == ("base_lr is not known: accuracy already rises at the first rate tested",)


@pytest.mark.parametrize(
    ("name", "max_lr"), [("sunspots-rnn-loss-only", (2.5e-6, 1.5e-5)), ("conebeam-loss-only", (0.01, 0.11))]
)
def test_a_loss_alone_is_enough_and_marked(name, max_lr):
    found = bounds(name, "loss")
    assert max_lr[0] <= found.max_lr <= max_lr[1]
    assert found.caveats[0] == LOSS_ONLY

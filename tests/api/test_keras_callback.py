"""The callback of a run for Keras; a stand-in of Keras calls it as `fit` does, unless the test is one of acceptance."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from run_folder import write_run_folder

from clrbench.api.current_run import CurrentRun
from clrbench.execution.script_rows import read_rows

RATES = (0.5, 0.25, 0.125, 0.0625)


@pytest.fixture
def run(tmp_path: Path) -> CurrentRun:
    return CurrentRun(write_run_folder(tmp_path, RATES))


@pytest.fixture
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a Keras that is imported at once."""
    callbacks: Any = ModuleType("keras.callbacks")
    callbacks.Callback = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, "keras", ModuleType("keras"))
    monkeypatch.setitem(sys.modules, "keras.callbacks", callbacks)
    sys.modules.pop("clrbench.api.keras_callback", None)
    yield
    sys.modules.pop("clrbench.api.keras_callback", None)


def fit(callback: Any, epochs: int, steps_per_execution: object = 1) -> list[float]:
    """Call back as `fit` does in epochs of two updates; return the rate of each update."""
    callback.model = SimpleNamespace(
        optimizer=SimpleNamespace(), stop_training=False, steps_per_execution=steps_per_execution
    )
    callback.on_train_begin()
    used = []
    for epoch in range(epochs):
        for batch in range(2):
            callback.on_train_batch_begin(batch)
            used.append(callback.model.optimizer.learning_rate)
            callback.on_train_batch_end(batch, {"loss": 1.0 / len(used)})
            if callback.model.stop_training:
                break
        callback.on_epoch_end(epoch, {"loss": 1.0 / len(used)})
        if callback.model.stop_training:
            break
    return used


def logged(run: CurrentRun) -> list[int]:
    """Return the steps that something was logged for."""
    rows = read_rows(run.folder / "metrics.csv", run.num_steps, resumed=True)
    return [step for step, there in enumerate(rows.written["train_loss"], 1) if there]


@pytest.mark.usefixtures("_stand_in")
def test_every_update_has_its_rate_and_the_first_one_and_every_epoch_are_logged(run: CurrentRun) -> None:
    assert fit(run.keras_callback(), 9) == list(RATES)
    assert logged(run) == [1, 2, 4]


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_script_goes_on_after_the_updates_of_its_checkpoint(done: int, run: CurrentRun) -> None:
    assert fit(run.keras_callback(updates_done=done), 9) == list(RATES[done:])
    assert logged(run) == ([3, 4] if done == 1 else [4])


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize("done", [-1, 5, 1.5, True])
def test_updates_that_cannot_have_been_made_are_refused(done: Any, run: CurrentRun) -> None:
    with pytest.raises(ValueError, match=rf"got updates_done {re.escape(str(done))}; allowed: 0 to 4"):
        run.keras_callback(done)


@pytest.mark.usefixtures("_stand_in")
def test_a_fit_without_an_update_to_make_is_refused(run: CurrentRun) -> None:
    callback = run.keras_callback()
    fit(callback, 2)
    for finished in (callback, run.keras_callback(4)):
        with pytest.raises(ValueError, match=r"fit: all 4 updates of the run are done; leave fit out"):
            fit(finished, 1)


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize("at_once", [2, "auto"])
def test_several_updates_at_once_are_refused(at_once: object, run: CurrentRun) -> None:
    with pytest.raises(ValueError, match=rf"steps_per_execution={at_once!r}; allowed: 1"):
        fit(run.keras_callback(), 2, at_once)
    assert not (run.folder / "metrics.csv").exists()


SCRIPT = """
import sys, keras, numpy as np
from pathlib import Path
from clrbench.api.current_run import CurrentRun

run, x = CurrentRun(Path(sys.argv[1])), np.ones((12, 1), "float32")

def made(**options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse", **options)
    return model

class Watch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        used.append(float(self.model.optimizer.learning_rate))

def fit(model, **options):
    done = int(model.optimizer.iterations)
    model.fit(x, x, batch_size=4, verbose=0, callbacks=[run.keras_callback(updates_done=done), Watch()], **options)

used, model = [], made()
fit(model, epochs=1)
model.save(sys.argv[1] + "/model.keras")
fit(keras.saving.load_model(sys.argv[1] + "/model.keras"), epochs=run.epochs, initial_epoch=1)
print(used)
try:
    fit(made(steps_per_execution=2), epochs=1)
except ValueError as err:
    print(err)
"""


@pytest.mark.acceptance
def test_keras_calls_back_so(run: CurrentRun) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run.folder)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    used, refusal = done.stdout.splitlines()[-2:]
    assert used == str(list(RATES))
    assert refusal.startswith("compile: got steps_per_execution=2; allowed: 1")
    assert logged(run) == [1, 3, 4]

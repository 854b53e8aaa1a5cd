"""A small dense network in Keras, by `fit` with a callback."""

import sys

import keras
import numpy as np

import clrbench  # clrbench

keras.utils.set_random_seed(int(sys.argv[1]))
run = clrbench.current_run()  # clrbench
rng = np.random.default_rng(0)  # the same data for every seed
x = rng.normal(size=(1600, 10)).astype(np.float32)
y = (np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] > 0).astype(np.int32)
model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(2)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
model.fit(
    *(x[:640], y[:640]),
    batch_size=32,
    epochs=run.epochs,  # clrbench
    validation_data=(x[640:1000], y[640:1000]),
    callbacks=[run.keras_callback()],  # clrbench
    verbose=2,
)
test_loss, test_accuracy = model.evaluate(x[1000:], y[1000:], verbose=0)
run.log(run.num_steps, test_loss=test_loss, test_accuracy=test_accuracy)  # clrbench

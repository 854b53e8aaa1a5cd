"""A classifier of short time series, as one would write it anyway."""

import keras


def build(image_shape: tuple[int, int], num_classes: int, units: int = 16) -> keras.Model:
    """Return a new network: a bidirectional LSTM with dropout; clrbench calls this with the options of the spec."""
    series = keras.Input(image_shape)
    values = keras.layers.Bidirectional(keras.layers.LSTM(units))(series)
    values = keras.layers.Dropout(0.2)(values)
    return keras.Model(series, keras.layers.Dense(num_classes)(values))

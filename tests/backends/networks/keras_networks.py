"""Networks as users write them for Keras; nothing of clrbench is known here."""

import keras
import numpy as np

SAME = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])


def cnn(image_shape, num_classes, width=6):
    return keras.Sequential(
        [
            keras.layers.Conv2D(width, 3, strides=2),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(num_classes),
        ]
    )


def lstm(image_shape, num_classes):
    series = keras.Input(image_shape)
    values = keras.layers.LSTM(12, dropout=0.2)(series)
    return keras.Model(series, keras.layers.Dense(num_classes)(values))


class Attention(keras.Model):
    """Token ids to classes, with one dense layer used twice; its `call` takes no `training`."""

    def __init__(self, num_classes):
        super().__init__()
        self.embed = keras.layers.Embedding(256, 16)
        self.attention = keras.layers.MultiHeadAttention(2, 8)
        self.twice = keras.layers.Dense(16, "relu")
        self.head = keras.layers.Dense(num_classes)

    def call(self, tokens):
        values = self.embed(tokens)
        values = self.twice(self.twice(self.attention(values, values)))
        return self.head(keras.ops.mean(values, 1))


def attention(image_shape, num_classes):
    return Attention(num_classes)


def linear(image_shape, num_classes):
    return keras.Sequential([keras.Input(image_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])


def decayed(image_shape, num_classes):
    dense = keras.layers.Dense(num_classes, kernel_regularizer=keras.regularizers.L2(0.1))
    return keras.Sequential([keras.Input(image_shape), keras.layers.Flatten(), dense])


def softmax(image_shape, num_classes):
    return keras.Sequential([*linear(image_shape, num_classes).layers, keras.layers.Softmax()])


def sigmoid(image_shape, num_classes):
    return keras.Sequential([*linear(image_shape, num_classes).layers, keras.layers.Activation("sigmoid")])


def pretrained(image_shape, num_classes):
    model = linear(image_shape, num_classes)
    model.set_weights([np.linspace(-0.1, 0.1, 784 * num_classes).reshape(784, num_classes), np.zeros(num_classes)])
    return model


def nothing(image_shape, num_classes):
    return None


def torch_module(image_shape, num_classes):
    return type("Module", (), {"__module__": "torch.nn.modules.module"})()


def too_few(image_shape, num_classes):
    return linear(image_shape, num_classes - 1)


def half(image_shape, num_classes):
    return keras.Sequential(
        [keras.Input(image_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes, dtype="float16")]
    )


def mixed(image_shape, num_classes):
    dense = keras.layers.Dense(num_classes, dtype="mixed_float16")
    return keras.Sequential([keras.Input(image_shape), keras.layers.Flatten(), dense])


def by_the_clock(image_shape, num_classes, _generator=np.random.default_rng(0)):  # noqa: B008
    model = linear(image_shape, num_classes)
    model.set_weights([_generator.normal(size=(784, num_classes)), np.zeros(num_classes)])
    return model


def shared_module(image_shape, num_classes):
    return SAME


def frozen(image_shape, num_classes):
    model = linear(image_shape, num_classes)
    model.trainable = False
    return model


def pair(image_shape, num_classes):
    images = keras.Input(image_shape)
    values = keras.layers.Flatten()(images)
    return keras.Model(images, [keras.layers.Dense(num_classes)(values), values])


def wrong_size(image_shape, num_classes):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(num_classes)])


def raising(image_shape, num_classes):
    raise RuntimeError("no such thing")

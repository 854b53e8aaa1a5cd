"""Networks as users write them for torch; nothing of clrbench is known here."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from blocks import Block
from torch import nn

SAME = nn.Linear(784, 10)


def cnn(image_shape, num_classes, width=6):
    channels = image_shape[2]
    return nn.Sequential(
        Block(channels, width), Block(width, width), nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(num_classes)
    )


class Recurrent(nn.Module):
    def __init__(self, features, num_classes):
        super().__init__()
        self.lstm = nn.LSTM(features, 12, num_layers=2, batch_first=True, dropout=0.2)
        self.head = nn.Linear(12, num_classes)

    def forward(self, series):
        return self.head(self.lstm(series)[0][:, -1])


def lstm(image_shape, num_classes):
    return Recurrent(image_shape[-1], num_classes)


class Attention(nn.Module):
    """Token ids to classes; the embedding and its scores share one weight."""

    def __init__(self, length, num_classes):
        super().__init__()
        self.embed = nn.Embedding(256, 16)
        self.place = nn.Parameter(torch.zeros(length, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.scores = nn.Linear(16, 256, bias=False)
        self.scores.weight = self.embed.weight
        self.head = nn.Linear(256, num_classes)

    def forward(self, tokens):
        values = self.layer(self.embed(tokens) + self.place)
        return self.head(self.scores(values.mean(1)))


def attention(image_shape, num_classes):
    return Attention(image_shape[0], num_classes)


class Buffers(nn.Module):
    """Tied buffers, one that grows, one that is not there at first, and layers dropped by Python's and numpy's numbers."""

    def __init__(self, pixels, num_classes):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(pixels, 20), nn.Linear(20, 20), nn.Linear(20, num_classes)])
        self.register_buffer("mean", torch.zeros(20))
        self.twin = nn.Module()
        self.twin.register_buffer("same", self.mean)
        self.register_buffer("seen", torch.zeros(0))
        self.register_buffer("last", None)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.frozen = nn.Parameter(torch.ones(20), requires_grad=False)
        self.unused = nn.Linear(3, 3)

    def forward(self, images):
        values = torch.relu(self.layers[0](images.reshape(len(images), -1))) * self.frozen
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(values.mean(0), 0.1)
                self.count += 1
                self.seen = torch.cat([self.seen, values.mean().reshape(1)])
                self.last = values.mean(0)
            if random.random() < 0.5:
                values = torch.relu(self.layers[1](values))
            values = values * float(np.random.rand() > 0.2)
        return self.layers[2](values - self.twin.same)


def buffers(image_shape, num_classes):
    return Buffers(int(np.prod(image_shape)), num_classes)


def linear(image_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(image_shape)), num_classes))


def softmax(image_shape, num_classes):
    return nn.Sequential(linear(image_shape, num_classes), nn.Softmax(1))


def sigmoid(image_shape, num_classes):
    return nn.Sequential(linear(image_shape, num_classes), nn.Sigmoid())


def pretrained(image_shape, num_classes):
    module = linear(image_shape, num_classes)
    weight = torch.linspace(-0.1, 0.1, 784 * num_classes).reshape(num_classes, 784)
    module.load_state_dict({"1.weight": weight, "1.bias": torch.zeros(num_classes)})
    return module


def zeros(image_shape, num_classes):
    module = linear(image_shape, num_classes)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def nothing(image_shape, num_classes):
    return None


def keras_model(image_shape, num_classes):
    return type("Model", (), {"__module__": "keras.src.models"})()


def too_few(image_shape, num_classes):
    return linear(image_shape, num_classes - 1)


def half(image_shape, num_classes):
    return linear(image_shape, num_classes).half()


def double(image_shape, num_classes):
    return linear(image_shape, num_classes).double()


def brain(image_shape, num_classes):
    module = linear(image_shape, num_classes)
    module.register_buffer("mean", torch.zeros(3, dtype=torch.bfloat16))
    return module


def by_the_clock(image_shape, num_classes, _generator=torch.Generator()):  # noqa: B008
    module = linear(image_shape, num_classes)
    with torch.no_grad():
        module[1].weight.normal_(generator=_generator)
    return module


def shared_module(image_shape, num_classes):
    return nn.Sequential(nn.Flatten(), SAME)


def frozen(image_shape, num_classes):
    return linear(image_shape, num_classes).requires_grad_(False)


class Detached(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, images):
        return self.module(images).detach().requires_grad_()


def detached(image_shape, num_classes):
    return Detached(linear(image_shape, num_classes))


class Pair(Detached):
    def forward(self, images):
        return self.module(images), None


def pair(image_shape, num_classes):
    return Pair(linear(image_shape, num_classes))


class Squeezed(Detached):
    def forward(self, images):
        return self.module(images).squeeze()


def squeezed(image_shape, num_classes):
    return Squeezed(linear(image_shape, num_classes))


class Sparse(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.embed = nn.Embedding(256, num_classes, sparse=True)

    def forward(self, images):
        return self.embed((images.flatten(1) * 255).long()).mean(1)


def sparse(image_shape, num_classes):
    return Sparse(num_classes)


def wrong_size(image_shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3, num_classes))


def raising(image_shape, num_classes):
    raise RuntimeError("no such thing")


class View(nn.Module):
    def forward(self, images):
        return F.relu(images.view(len(images), -1))


def view(image_shape, num_classes):
    return nn.Sequential(View(), nn.Linear(int(np.prod(image_shape)), num_classes))

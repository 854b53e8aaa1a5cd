"""A small convolutional network, as one would write it anyway."""

import torch
from torch import nn


class Net(nn.Module):
    """Two convolutions with batch norm, dropout and a linear layer."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, width: int, dropout: float) -> None:
        """Make the layers; `width` is the number of filters of the first convolution."""
        super().__init__()
        height, columns, channels = image_shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width * -(-height // 4) * -(-columns // 4), num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, float32[batch, classes], of images, float32[batch, channels, height, width]."""
        return self.head(self.dropout(self.features(images).flatten(1)))


def build(image_shape: tuple[int, int, int], num_classes: int, width: int = 8, dropout: float = 0.1) -> nn.Module:
    """Return a new network; clrbench calls this with the options of the spec."""
    return Net(image_shape, num_classes, width, dropout)

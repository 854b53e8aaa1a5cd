"""A part of a network, in a file beside it."""

from torch import nn


class Block(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, stride=2)
        self.norm = nn.BatchNorm2d(filters)

    def forward(self, images):
        return self.norm(self.conv(images)).relu()

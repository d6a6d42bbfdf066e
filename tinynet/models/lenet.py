"""LeNet-5 (LeCun et al., 1998, section II.B), with ReLU and max-pooling as it is taught today.

Small enough to train in seconds, with the same kinds of layers as AlexNet: tests and docs use it.
"""

from tinynet import nn


class LeNet(nn.Sequential):
    """images (N, channels, 28, 28) -> logits (N, classes)."""

    def __init__(self, classes=10, channels=1):
        super().__init__(
            nn.Conv2d(channels, 6, 5, padding=2),  # (N, 6, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 6, 14, 14)
            nn.Conv2d(6, 16, 5),  # (N, 16, 10, 10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 5, 5)
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )

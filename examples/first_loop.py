"""The smallest honest training loop: a network of four layers learns to tell ten drawn shapes apart.

    python examples/first_loop.py

It takes a few seconds and needs no download. Read docs/autograd.md first, then this, then alexnet_imagenet.py.
"""

import numpy as np

import tinynet
from tinynet import data, nn, optim
from tinynet import functional as F

SIDE, BATCH, EPOCHS = 32, 50, 15


def arrays(dataset):
    """A data set as two arrays: pictures (N, 3, SIDE, SIDE), each value between -1 and 1, and labels (N,)."""
    pictures = np.stack([dataset.image(i, SIDE) for i in range(len(dataset))])  # (N, SIDE, SIDE, 3), 0 to 255
    return (pictures.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32), dataset.labels


tinynet.manual_seed(0)
train, val = data.open_images("shapes", SIDE)  # drawn at the first call, then kept
images, labels = arrays(train)  # 2,000 of them
val_images, val_labels = arrays(val)  # 500 others

model = nn.Sequential(
    nn.Conv2d(3, 16, 5, stride=2, padding=2),  # (N, 16, 16, 16)
    nn.ReLU(),
    nn.MaxPool2d(2),  # (N, 16, 8, 8)
    nn.Conv2d(16, 32, 3, padding=1),  # (N, 32, 8, 8)
    nn.ReLU(),
    nn.MaxPool2d(2),  # (N, 32, 4, 4)
    nn.Flatten(),  # (N, 512)
    nn.Linear(512, 64),
    nn.ReLU(),
    nn.Linear(64, len(train.classes)),  # (N, 10): a score for each class
)
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
rng = np.random.default_rng(0)

for epoch in range(1, EPOCHS + 1):
    losses = []
    for batch in rng.permutation(len(images)).reshape(-1, BATCH):  # every picture once, in a new order
        loss = F.cross_entropy(model(tinynet.tensor(images[batch])), labels[batch])
        loss.backward()  # dL/dw into the .grad of every parameter
        optimizer.step()  # w <- w - lr * v, v: the velocity
        optimizer.zero_grad()  # or the next gradients would be added to these
        losses.append(loss.item())
    with tinynet.no_grad():
        scores = model(tinynet.tensor(val_images)).numpy()
    right = (scores.argmax(axis=1) == val_labels).mean()
    print(f"epoch {epoch:2}: mean loss {np.mean(losses):.3f}, validation accuracy {right:.1%}")

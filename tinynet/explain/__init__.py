"""What a network is, what it sees, and what is wrong with it.

layers           the table of layers, and what crosses between devices
signal_share     how much of each layer's output depends on the image
receptive_field  the pixels that a unit sees
features         the outputs of a layer, and the nearest images by them
patches          what excites a channel most
confusion        what is said of images, and the worst mistakes
norms            how large outputs and gradients are, and which ReLUs are dead
not_finite       which layer went wrong first
filter_history   conv1's filters while they are learned, kept in a checkpoint
figures          all figures of a run; it needs Matplotlib, and is imported from where it stands
page             python -m tinynet.explain: one picture's way through a network, as an HTML file
quantize         its arrays as bytes
terms            the largest terms of its fully connected layers
source           the lines of tinynet that it shows
web/             its template, style and scripts
"""

from tinynet.explain.features import features, nearest_pictures, readable
from tinynet.explain.filter_history import FilterHistory
from tinynet.explain.layers import Step, layer_table, steps
from tinynet.explain.not_finite import first_not_finite
from tinynet.explain.receptive_field import receptive_field
from tinynet.explain.signal_share import signal_share

__all__ = [
    "FilterHistory", "Step", "features", "first_not_finite", "layer_table", "nearest_pictures", "readable",
    "receptive_field", "signal_share", "steps",
]

"""What a network is, what it sees, and what is wrong with it.

layers        the table of layers, and what crosses between devices
signal_share  how much of each layer's output depends on the image
features      the outputs of a layer, and the nearest images by them
not_finite    which layer went wrong first
page          python -m tinynet.explain: one picture's way through a network, as an HTML file
quantize      its arrays as bytes
terms         the largest terms of its fully connected layers
source        the lines of tinynet that it shows
web/          its template, style and scripts
"""

from tinynet.explain.features import features, nearest_pictures, readable
from tinynet.explain.layers import Step, layer_table, steps
from tinynet.explain.not_finite import first_not_finite
from tinynet.explain.signal_share import signal_share

__all__ = [
    "Step", "features", "first_not_finite", "layer_table", "nearest_pictures", "readable", "signal_share", "steps",
]

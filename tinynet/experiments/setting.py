"""Everything that decides one training run. Two equal settings are one run, whichever experiment asks for it."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from tinynet import __version__


@dataclass(frozen=True)
class Setting:
    """network: alexnet or four-layers. classes: the numbers of those used, from first to before the last; () for all.
    per_class: at most so many training images of each; 0 for all. until: training ends when the training error of an
    epoch is below this share. start: the run whose weights this one begins with; the last layer begins anew for other
    classes. frozen: layers whose weights stay as they are.

    The other fields are the options of examples/alexnet_imagenet.py. schedule: cosine, plateau or constant.
    """

    network: str = "alexnet"
    variant: str = ""
    recipe: str = "he"
    width: float = 0.25
    image_size: int = 64
    dropout: float = 0.5
    augment: str = "crops,flips,colors"
    classes: tuple = ()
    per_class: int = 0
    epochs: int = 10
    until: float = 0.0
    batch_size: int = 32
    lr: float = 0.01
    schedule: str = "cosine"
    weight_decay: float = 0.0005
    seed: int = 1
    start: "Setting | None" = None
    frozen: tuple = ()

    def key(self, files):
        """A short name for this run on a data set whose list of files has this digest."""
        text = json.dumps([asdict(self), files, __version__])
        return f"{self.network}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def but(self, **changes):
        return replace(self, **changes)


# For minutes on two cores: figure 2 at a quarter of its width, on images of 64 x 64
SMALL = Setting()
# The paper's own (section 5)
FULL = Setting(recipe="paper", width=1.0, image_size=224, epochs=90, batch_size=128, schedule="plateau")
# To see that a command works
TINY = Setting(width=1 / 16, image_size=63, epochs=1, batch_size=8)

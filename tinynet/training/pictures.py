"""Pictures to be named by a trained network: files and folders, of which it may not be known what they show."""

from pathlib import Path

import numpy as np

from tinynet import data
from tinynet.data.folder import find_images
from tinynet.errors import RunError


class Pictures:
    """A data set as a DataLoader wants it. A label is -1 where nothing says what a picture shows.

    places: files, each of which must be an image that can be read, and folders, of which all images are taken, sorted;
    those that cannot be read are left to the loader. classes: of the network. Raises ImageError or RunError.
    """

    def __init__(self, places, classes):
        self.root, self.classes, self.paths = Path(places[0]), classes, []
        for place in places:
            if place.is_dir():
                found = [place / name for name in find_images(place)]
                if not found:
                    raise RunError(f"{place}: there is no picture in this folder")
                self.paths += found
            else:
                data.decode(place)
                self.paths.append(place)
        number = {name: i for i, name in enumerate(classes)}
        self.labels = np.array([label_of(path, number) for path in self.paths], np.int64)  # (N,)

    def __len__(self):
        return len(self.paths)

    def image(self, i, side, patch=None):
        """As ImageFolder's."""
        return data.decode(self.paths[i], side, patch)

    def digest(self):
        """What differs between two of these."""
        return "\0".join(map(str, self.paths))


def label_of(path, number):
    """The number of the class that a picture's folder is named after, or else with which its own name begins; or -1.

    number: {class: its number}. star/7.png, star_7.png and star.png show a star; starfish.png says nothing of one, and
    of the classes sea and sea_lion, sea_lion_7.png shows the second.
    """
    stem = path.stem
    beginnings = [stem[:end] for end in range(len(stem), 0, -1) if not stem[end : end + 1].isalnum()]
    return next((number[name] for name in [path.absolute().parent.name, *beginnings] if name in number), -1)

"""Networks built from the layers."""

from tinynet.models.alexnet import AlexNet
from tinynet.models.hybrid import HybridAlexNet
from tinynet.models.lenet import LeNet
from tinynet.models.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "AlexNet", "HybridAlexNet", "LeNet", "Recipe"]

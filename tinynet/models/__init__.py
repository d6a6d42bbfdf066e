"""Networks built from the layers."""

from tinynet.models.alexnet import AlexNet
from tinynet.models.hybrid import HybridAlexNet
from tinynet.models.lenet import LeNet
from tinynet.models.recipes import RECIPES, Recipe
from tinynet.models.variants import VARIANTS

__all__ = ["RECIPES", "VARIANTS", "AlexNet", "HybridAlexNet", "LeNet", "Recipe"]

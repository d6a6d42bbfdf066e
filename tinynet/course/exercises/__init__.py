"""All exercises, in the order of the course; one file each."""

from tinynet.course.exercises.adam import ADAM
from tinynet.course.exercises.all_gather import ALL_GATHER
from tinynet.course.exercises.block_reduce import BLOCK_REDUCE
from tinynet.course.exercises.col2im import COL2IM
from tinynet.course.exercises.conv2d import CONV2D
from tinynet.course.exercises.conv2d_tiled import CONV2D_TILED
from tinynet.course.exercises.cross_entropy import CROSS_ENTROPY
from tinynet.course.exercises.dropout import DROPOUT
from tinynet.course.exercises.graph import GRAPH
from tinynet.course.exercises.linear import LINEAR
from tinynet.course.exercises.local_response_norm import LOCAL_RESPONSE_NORM
from tinynet.course.exercises.lrn_kernel import LRN_KERNEL
from tinynet.course.exercises.max_pool2d import MAX_POOL2D
from tinynet.course.exercises.relu import RELU
from tinynet.course.exercises.relu_kernel import RELU_KERNEL
from tinynet.course.exercises.sgd import SGD
from tinynet.course.exercises.softmax import SOFTMAX
from tinynet.errors import RunError

EXERCISES = (
    GRAPH, RELU, LINEAR, SOFTMAX, CROSS_ENTROPY, SGD, ADAM, CONV2D, COL2IM, MAX_POOL2D, LOCAL_RESPONSE_NORM, DROPOUT,
    RELU_KERNEL, BLOCK_REDUCE, CONV2D_TILED, LRN_KERNEL, ALL_GATHER,
)


def by_name(name):
    """The Exercise called `name`. Raises RunError if there is none."""
    for exercise in EXERCISES:
        if exercise.name == name:
            return exercise
    raise RunError(f"there is no exercise {name!r}; there are {', '.join(e.name for e in EXERCISES)}")

"""Which files are mutated, which tests each mutant runs, and faults that are always tried."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(folder):
    return [f"tinynet/{folder}/{path.name}" for path in sorted((ROOT / "tinynet" / folder).glob("[!_]*.py"))]


GROUPS = {
    "ops": [*files("ops"), "tinynet/windows.py"],
    "optim": files("optim"),
    "recipes": ["tinynet/models/recipes.py"],
    "checkpoint": ["tinynet/training/checkpoint.py"],
    "autograd": ["tinynet/autograd.py", "tinynet/backpropagation.py", "tinynet/in_place.py", "tinynet/gradcheck.py"],
    "data": ["tinynet/data/loader.py", "tinynet/data/transforms.py"],
    "parallel": ["tinynet/parallel/collectives.py", "tinynet/parallel/sharded.py"],
    "ranks": [path for path in files("parallel") if not path.endswith(("collectives.py", "sharded.py"))],
}

# The tests of an operation: its own file, and in the files of all operations those whose id holds its name.
OPS_IN = {
    "concatenate": "concatenate split stack",
    "losses": "mse_loss nll_loss",
    "reductions": "max mean min sum var",
    "shapes": "permute reshape transpose",
    "softmax": "log_softmax softmax",
    "unary": "abs clip exp leaky_relu log sigmoid sqrt tanh",
    "indexing": "indexing",
}
OF_ALL_OPS = ["tests/test_wrong_types.py", "tests/ops/test_layouts.py", "tests/ops/test_properties.py"]
MORE_NAMES = {"arithmetic": "add or sub or mul or div or neg or pow", "indexing": "getitem", "reshape": "flatten"}

# Several operations stand on these.
SHARED = {
    "dims": "shapes reductions unary concatenate max_pool2d conv2d arithmetic cross_entropy dropout softmax",
    "reduction": "reductions",
    "pairwise_sum": "pairwise_sum reductions",
    "targets": "cross_entropy losses",
}
POOLS = ("tests/ops/test_max_pool2d.py",), ("tests/ops/test_avg_pool2d.py",)
COLUMNS = (
    ("tests/parallel/test_collectives.py",),
    ("tests/models/test_alexnet.py", "-k", "crosses or moves_between or (columns_equal and float64)"),
)
TESTS = {
    "tinynet/windows.py": (
        *POOLS, ("tests/ops/test_conv2d.py",),
        ("tests/ops/test_layouts.py", "tests/ops/test_properties.py", "-k", "pool or conv or windows or view"),
    ),
    "tinynet/optim": (("tests/optim",),),
    "tinynet/optim/schedules.py": (("tests/optim/test_schedules.py", "tests/optim/test_arguments.py"),),
    "tinynet/models/recipes.py": (
        ("tests/examples/test_settings_of_2012.py",), ("tests/models/test_alexnet.py", "-k", "recipes"),
    ),
    "tinynet/training/checkpoint.py": (
        ("tests/training/test_checkpoint.py",), ("tests/models/test_alexnet.py", "-k", "a_checkpoint_goes_on"),
    ),
    "tinynet/autograd.py": (
        ("tests/test_autograd.py", "tests/test_tensor.py"),
        ("tests/test_in_place.py", "tests/test_anomaly.py"),
        ("tests/test_wrong_types.py", "tests/ops/test_arithmetic.py"),
    ),
    "tinynet/backpropagation.py": (("tests/test_autograd.py", "tests/test_in_place.py", "tests/test_anomaly.py"),),
    "tinynet/in_place.py": (("tests/test_in_place.py",),),
    "tinynet/gradcheck.py": (("tests/test_gradcheck.py",),),
    "tinynet/data/loader.py": (  # but for one test, which measures time and fails on a busy machine
        ("tests/data/test_loader.py", "tests/data/test_arguments.py", "-k", "not waiting_is_counted"),
    ),
    "tinynet/data/transforms.py": (("tests/data/test_transforms.py", "tests/data/test_arguments.py"),),
    "tinynet/parallel": (("tests/parallel",),),
    "tinynet/parallel/collectives.py": COLUMNS,
    "tinynet/parallel/sharded.py": COLUMNS,
}  # fmt: skip


def tests_of(path):
    """The arguments of pytest, once or twice: first the tests that know most about the file."""
    folder, name = path.rsplit("/", 1)
    op = name.removesuffix(".py")
    if folder != "tinynet/ops":
        return TESTS.get(path) or TESTS[folder]
    if op in SHARED:
        return (*((f"tests/ops/test_{own}.py",) for own in SHARED[op].split()), ("tests/test_wrong_types.py",))
    own = next((own for own, ops in OPS_IN.items() if op in ops.split()), op)
    return (f"tests/ops/test_{own}.py",), (*OF_ALL_OPS, "-k", MORE_NAMES.get(op, op))


# (file, text that stands there once, what becomes of it): mistakes that somebody made, or well might.
KNOWN = [
    ("tinynet/ops/softmax.py", "dx = dy - pairwise_sum(dy * y, (self.axis,), keepdims=True)", "dx = dy.copy()"),
    ("tinynet/ops/local_response_norm.py", "return direct - through_s", "return direct"),
    ("tinynet/ops/max_pool2d.py", "better = values[here] > best", "better = values[here] >= best"),
    ("tinynet/ops/dropout.py", "y *= 1 / (1 - self.p) if self.p < 1 else 0", "y *= 1 - self.p"),
    ("tinynet/optim/sgd.py", "v -= lr * (g + wd * w)", "v -= g + wd * w"),
    ("tinynet/optim/adam.py", 'rate = lr / (1 - b1 ** state["t"])', "rate = lr"),
    ("tinynet/models/recipes.py", "PAPER_LRN = dict(size=5, alpha=5e-4,", "PAPER_LRN = dict(size=5, alpha=1e-4,"),
    ("tinynet/training/checkpoint.py", "crc = zlib.crc32(array.reshape(-1).view(np.uint8), crc)", "pass"),
    ("tinynet/backpropagation.py", "x.leaf.grad += dx", "x.leaf.grad[...] = dx"),
    ("tinynet/data/loader.py", "(self.seed, epoch, index + 1)", "(self.seed, index + 1)"),
    ("tinynet/data/transforms.py", "alpha * np.sqrt(self.eigenvalues)", "alpha * self.eigenvalues"),
    ("tinynet/parallel/collectives.py", "dx[self.last] += to_device(piece(dys[d + 1], self.first), home)", "pass"),
]

"""Fixtures that all tests share: devices, the PyTorch oracle, a seeded generator."""

import numpy as np
import pytest

import tinynet


def pytest_addoption(parser):
    parser.addoption(
        "--require-oracle", action="store_true", help="fail, not skip, comparisons without PyTorch"
    )


def no_gpu():
    """Why cuda:0 cannot be used here, or None."""
    try:
        tinynet.backend.cupy()
    except RuntimeError as error:
        return str(error)
    return None


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request):
    """Each test that asks for a device runs once on every kind there is."""
    if request.param != "cpu" and (reason := no_gpu()):
        pytest.skip(reason)
    return request.param


def pytest_collection_modifyitems(items):
    for item in items:
        if "torch" in getattr(item, "fixturenames", ()):
            item.add_marker("oracle")


@pytest.fixture(scope="session")
def torch(request):
    """PyTorch, the oracle. Without it these tests are skipped, or fail with --require-oracle."""
    try:
        import torch
    except ImportError:
        if request.config.getoption("--require-oracle"):
            pytest.fail("--require-oracle, but PyTorch is not installed")
        pytest.skip("PyTorch is not installed: pip install torch==2.13.0")
    torch.set_num_threads(1)
    return torch


@pytest.fixture
def rng():
    return np.random.default_rng(12345)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)

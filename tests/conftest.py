"""Fixtures that all tests share: devices, the PyTorch oracle, a browser, a seeded generator."""

import numpy as np
import pytest

from browser import Browser, chromium
from tinynet import backend
from tinynet.emulator import compiler


def pytest_addoption(parser):
    parser.addoption("--require-oracle", action="store_true", help="without PyTorch, fail comparisons, do not skip")


def missing(device):
    """Why a device cannot be used here, or None."""
    needs = {"cuda:0": backend.cupy, "emu:0": compiler.compiler}
    try:
        needs.get(device, str)()
    except RuntimeError as error:
        return str(error)
    return None


@pytest.fixture(params=["cpu", "emu:0", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def device(request):
    """Each test that asks for a device runs once on every kind of device there is."""
    if reason := missing(request.param):
        pytest.skip(reason)
    return request.param


def pytest_collection_modifyitems(items):
    for item in items:
        if "torch" in getattr(item, "fixturenames", ()):
            item.add_marker("oracle")


@pytest.fixture(scope="session")
def torch(request):
    """PyTorch, the oracle. Without it these tests are skipped, or fail if --require-oracle is given."""
    try:
        import torch
    except ImportError:
        if request.config.getoption("--require-oracle"):
            pytest.fail("--require-oracle, but PyTorch is not installed")
        pytest.skip("PyTorch is not installed: pip install torch==2.13.0")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def chromium_session():
    if chromium() is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium_session):
    """One headless Chromium for all tests, 1280 pixels wide; a page that throws an error fails its test."""
    chromium_session.resize(1280, 900)
    yield chromium_session
    assert chromium_session.errors == []


@pytest.fixture
def rng():
    return np.random.default_rng(12345)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)

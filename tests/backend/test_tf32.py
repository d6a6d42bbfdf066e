import sys
import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

import tinynet
from tinynet import backend
from tinynet.backend import cupy_loader


@pytest.fixture
def chosen(monkeypatch):
    """chosen(*capabilities): the list of what CuPy is told from now on, on GPUs of these compute capabilities."""

    def imitate(*capabilities):
        current, calls = [0], []

        class Device(nullcontext):
            def __init__(self, i):
                super().__init__()
                self.id, self.compute_capability = i, capabilities[i]

            def __enter__(self):
                current.append(self.id)

            def __exit__(self, *error):
                current.pop()

        def set_compute_type(dtype, kind):
            if kind == "TF32" and int(capabilities[current[-1]]) < 80:  # as CuPy does
                warnings.warn("COMPUTE_TYPE_TF32 is only available on GPUs of 8.0 or higher", stacklevel=2)
            calls.append(kind)

        runtime = SimpleNamespace(getDeviceCount=lambda: len(capabilities))
        cupy = SimpleNamespace(cuda=SimpleNamespace(Device=Device, runtime=runtime))
        linalg = SimpleNamespace(
            COMPUTE_TYPE_TF32="TF32", COMPUTE_TYPE_DEFAULT="default", set_compute_type=set_compute_type)
        monkeypatch.setattr(cupy_loader, "load_cupy", lambda: cupy)
        monkeypatch.setitem(sys.modules, "cupy._core._routines_linalg", linalg)
        return calls

    backend.cupy.cache_clear()
    yield imitate
    backend.cupy.cache_clear()
    tinynet.allow_tf32(False)


def test_cupys_products_follow_the_choice_from_the_moment_cupy_is_loaded(chosen):
    calls = chosen("90")
    tinynet.allow_tf32()
    assert calls == [] and backend.tf32_allowed()
    backend.cupy()
    assert calls == ["TF32"]
    tinynet.allow_tf32(False)
    assert calls == ["TF32", "default"] and not backend.tf32_allowed()
    backend.cupy.cache_clear()
    backend.cupy()
    assert len(calls) == 2, "what CuPy does anyway is not set"


@pytest.mark.parametrize("capabilities, expected", [(["75"], []), (["75", "100"], ["TF32"])])
def test_cupy_is_not_told_on_a_gpu_where_it_would_warn(chosen, capabilities, expected):
    calls = chosen(*capabilities)
    backend.cupy()
    tinynet.allow_tf32()
    assert calls == expected

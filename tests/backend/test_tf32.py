import sys
from types import SimpleNamespace

import tinynet
from tinynet import backend
from tinynet.backend import cupy_loader


def test_cupys_products_follow_the_choice_from_the_moment_cupy_is_loaded(monkeypatch):
    chosen = []
    linalg = SimpleNamespace(
        COMPUTE_TYPE_TF32="TF32", COMPUTE_TYPE_DEFAULT="default",
        set_compute_type=lambda dtype, kind: chosen.append(kind),
    )  # fmt: skip
    monkeypatch.setattr(cupy_loader, "load_cupy", lambda: None)
    monkeypatch.setitem(sys.modules, "cupy._core._routines_linalg", linalg)
    backend.cupy.cache_clear()
    try:
        tinynet.allow_tf32()
        assert chosen == [] and backend.tf32_allowed()
        backend.cupy()
        assert chosen == ["TF32"]
        tinynet.allow_tf32(False)
        assert chosen == ["TF32", "default"] and not backend.tf32_allowed()
        backend.cupy.cache_clear()
        backend.cupy()
        assert len(chosen) == 2, "what CuPy does anyway is not set"
    finally:
        tinynet.allow_tf32(False)
        backend.cupy.cache_clear()

"""Every public name says what it is for and names its arguments; layers say which shapes go in and come out."""

import importlib
import inspect
import re

import pytest

from tinynet import nn

MODULES = ["tinynet", "tinynet.functional", "tinynet.nn", "tinynet.nn.init", "tinynet.optim", "tinynet.data",
           "tinynet.models", "tinynet.parallel"]  # fmt: skip


def public(module):
    """(name, object) of a module's functions and classes."""
    module = importlib.import_module(module)
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    for name in names:
        value = getattr(module, name)
        own = hasattr(module, "__all__") or getattr(value, "__module__", None) == module.__name__
        if own and (inspect.isclass(value) or inspect.isfunction(value)):
            yield name, value


def own_docstring(value):
    """Not that of a base class, which help() would show."""
    return vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__


OBJECTS = [pytest.param(value, id=f"{module}.{name}") for module in MODULES for name, value in public(module)]


@pytest.mark.parametrize("value", OBJECTS)
def test_every_public_name_has_a_docstring_that_names_its_arguments(value):
    docstring = own_docstring(value)
    assert docstring
    if inspect.isclass(value):
        assert not docstring.startswith(f"{value.__name__}("), "this is what a dataclass writes itself"
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        arguments = set(inspect.signature(value).parameters)
        assert {name for name in arguments if not re.search(rf"\b{name}\b", docstring)} == set()


@pytest.mark.parametrize("name, layer", [(name, layer) for name, layer in public("tinynet.nn") if name != "Module"])
def test_layers_name_the_shapes_that_go_in_and_come_out(name, layer):
    if layer in (nn.Parameter, nn.ModuleList):  # neither computes anything
        return
    for word in ("Input", "Output"):
        assert re.search(rf"{word}\b[^:]*: ", layer.__doc__), f"{name} does not say what its {word.lower()} is"
    if name != "Sequential":
        assert re.search(r"any (one )?shape|\(N, C", layer.__doc__) or "(N, d1" in layer.__doc__, name


@pytest.mark.parametrize("base", ["nn.Module", "optim.Optimizer"])
def test_what_all_of_them_can_do_is_said_once(base):
    module, name = base.split(".")
    base = getattr(importlib.import_module(f"tinynet.{module}"), name)
    methods = {name: f for name, f in vars(base).items() if inspect.isfunction(f) and not name.startswith("_")}
    assert [name for name, method in methods.items() if not method.__doc__] == []

"""What a `with` statement or a decorator switches on or off in the engine, for its own thread: no_grad and the like."""

import contextlib
import functools
import inspect
import threading


class _Modes(threading.local):
    recording = True  # no_grad sets it to False
    detecting = False  # detect_anomaly sets it to True
    recorder = None  # record sets it to a Recording

    def __init__(self):  # runs once in each thread
        self.before = []


modes = _Modes()


class Switch(contextlib.ContextDecorator):
    """Sets one of the modes to a value, and puts back what it was. A generator is covered in each of its steps."""

    mode, value = None, None

    def __enter__(self):
        modes.before.append(getattr(modes, self.mode))
        setattr(modes, self.mode, self.value)

    def __exit__(self, *error):
        setattr(modes, self.mode, modes.before.pop())

    def __call__(self, function):
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{type(self).__name__}: {function.__name__} is async, and what runs while it waits would be "
                f"covered too; use `with {type(self).__name__}():` around the part that does not await"
            )
        if not inspect.isgeneratorfunction(function):
            return super().__call__(function)

        @functools.wraps(function)
        def covered(*args, **kwargs):
            generator = function(*args, **kwargs)
            step = functools.partial(generator.send, None)
            try:
                while True:
                    with self:
                        value = step()
                    try:
                        sent = yield value
                    except GeneratorExit:
                        with self:
                            generator.close()
                        raise
                    except BaseException as error:
                        step = functools.partial(generator.throw, error)
                    else:
                        step = functools.partial(generator.send, sent)
            except StopIteration as end:
                return end.value

        return covered


class no_grad(Switch):
    """Inside `with no_grad():` no graph is recorded: for evaluation, and for updates of weights."""

    mode, value = "recording", False

"""The pages' blocks can be pasted into python, in order, as their readers are told to.

A terminal hands them over line by line: an empty line ends a class or a loop, and code right after one, without an
empty line between, is a SyntaxError.
"""

import code
import contextlib
import io

import numpy as np

from test_docs import blocks, every_page


class Terminal(code.InteractiveConsole):
    """Python's prompt before 3.13, without a screen. errors: what it complained of."""

    def __init__(self):
        super().__init__({"__name__": "__main__"})
        self.errors = []

    def write(self, text):
        self.errors.append(text)


@every_page
def test_blocks_run_line_by_line(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    with np.printoptions(), contextlib.redirect_stdout(io.StringIO()):
        for block in blocks(page):
            if block.language != "python":
                continue
            for number, line in enumerate([*block.text.split("\n"), ""], block.start + 1):
                terminal.push(line)
                assert not terminal.errors, f"{page.name}:{number}: pasted into python: {''.join(terminal.errors)}"

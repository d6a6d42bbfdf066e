"""A headless Chromium that a test drives: open a page, press keys, click, read values back, take a picture.

    def test_it(browser):  # the fixture in conftest.py; skipped with its reason where there is no Chromium
        browser.open(path)
        browser.press("ArrowRight")
        assert browser.js("document.title") == "..."

It speaks the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over two pipes: Chromium reads
commands from file descriptor 3 and answers on 4, JSON texts with a zero byte after each. So it needs no driver, no port
and no network.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
         "--force-color-profile=srgb", "--remote-debugging-pipe", "about:blank"]
PATIENCE = 60  # seconds for one answer
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36,
        "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip


def chromium():
    """The path of Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page. errors: what it threw or wrote to console.error. requests: what it asked for; data: is no request."""

    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="tinynet-chromium-")
        commands, self.write_end = os.pipe()
        self.read_end, answers = os.pipe()
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (commands, answers)]
        moves = [(os.POSIX_SPAWN_DUP2, fd, as_fd) for fd, as_fd in zip(theirs, (3, 4), strict=True)]
        log = str(Path(self.profile) / "log")
        moves += [(os.POSIX_SPAWN_OPEN, fd, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for fd in (1, 2)]
        command = [chromium(), f"--user-data-dir={self.profile}", *FLAGS]
        self.process = os.posix_spawn(command[0], command, os.environ, file_actions=moves, setpgroup=0)
        for fd in (commands, answers, *theirs):
            os.close(fd)
        self.buffer, self.last, self.session, self.errors, self.requests = b"", 0, None, [], []
        page = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.send("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def open(self, page):
        """Load a file, or an address, and wait until it is there."""
        self.errors, self.requests, self.loaded = [], [], False
        address = page if isinstance(page, str) and ":" in page else Path(page).resolve().as_uri()
        failed = self.send("Page.navigate", url=address).get("errorText")
        assert not failed, f"{address}: {failed}"
        until = time.monotonic() + PATIENCE
        while not self.loaded:
            self.receive(until)

    def js(self, expression):
        """The value of a JavaScript expression, as JSON has it; promises are awaited."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def press(self, key, shift=False):
        """A key by its name in the standard: ArrowRight, Tab, Enter, a."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        how = dict(key=key, code=key, windowsVirtualKeyCode=KEYS.get(key, ord(key[0].upper())), modifiers=8 * shift)
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **how)
        self.send("Input.dispatchKeyEvent", type="keyUp", **how)

    def click(self, selector, x=0.5, y=0.5):
        """A click of the mouse on an element: x and y are shares of its width and height."""
        self.js(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.js(f"(b => [b.x, b.y, b.width, b.height])"
                      f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
        where = dict(x=box[0] + x * box[2], y=box[1] + y * box[3], button="left", clickCount=1)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, **where)

    def resize(self, width, height, mobile=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def screenshot(self, path, whole=False):
        """A PNG of what can be seen, or of the whole page."""
        picture = self.send("Page.captureScreenshot", captureBeyondViewport=whole, **self.whole_page() if whole else {})
        Path(path).write_bytes(base64.b64decode(picture["data"]))

    def whole_page(self):
        width, height = self.js("[innerWidth, document.documentElement.scrollHeight]")
        return {"clip": dict(x=0, y=0, width=width, height=height, scale=1)}

    def close(self):
        os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.write_end)
        os.close(self.read_end)
        shutil.rmtree(self.profile, ignore_errors=True)

    def send(self, method, **parameters):
        """One command of the protocol; waits for its answer."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.receive(until)
            if answer.get("id") == self.last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def receive(self, until):
        """The next message; events are noted on the way."""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(until - time.monotonic(), 0))
            part = os.read(self.read_end, 1 << 16) if ready else b""
            if not part:
                what = "does not answer" if not ready else "has ended"
                raise RuntimeError(f"Chromium {what}: {(Path(self.profile) / 'log').read_text()[-2000:]}")
            self.buffer += part
        text, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(text)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(parameters["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.errors.append(parameters["args"])
        elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith("data:"):
            self.requests.append(parameters["request"]["url"])
        return message

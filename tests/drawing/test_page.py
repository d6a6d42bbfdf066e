"""The page that goes through the steps, in a browser: what can be seen when."""

import numpy as np
import pytest

import tinynet
from tinynet import functional as F
from tinynet import nn

SHOWN = """(kind => [...document.querySelectorAll("#graph .box text." + kind)]
    .filter(text => getComputedStyle(text).opacity > 0).map(text => text.textContent))"""
ROWS = """[...document.querySelectorAll("#numbers tr")].map(row => [...row.cells].map(cell => cell.textContent))"""
HEADING = "document.getElementById('heading').textContent"
NOW = """[...document.querySelectorAll("#graph .box.now")].map(box => box.id)"""


@pytest.fixture
def scalar(tmp_path):
    """The page of y = x * x, L = y + x at x = 3."""
    x = tinynet.tensor(3.0, requires_grad=True)
    with tinynet.record():
        y = x * x
        loss = y + x
        loss.backward()
    tinynet.draw(loss, tmp_path / "graph.html", {x: "x", y: "y", loss: "L"})
    return tmp_path / "graph.html"


@pytest.fixture
def network(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))
    x = tinynet.tensor(np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype("float32"))
    with tinynet.record():
        loss = F.cross_entropy(model(x), np.array([0, 2]))
        loss.backward()
    tinynet.draw(loss, tmp_path / "network.html", model)
    return tmp_path / "network.html"


def test_the_arrow_keys_go_through_the_steps(browser, scalar):
    browser.open(scalar)
    seen = []
    for _ in range(6):
        seen.append((browser.js(HEADING), browser.js(SHOWN + "('value')"), browser.js(SHOWN + "('cotangent')"),
                     browser.js(NOW)))  # fmt: skip
        browser.press("ArrowRight")
    roads = ["  1", "from 2 add, other", "+ 3", "from 1 mul, input", "+ 3", "from 1 mul, other", "d = 7"]
    assert seen == [
        ("The leaves", ["3"], [], []),
        ("Forward 1 of 2: mul", ["3", "9"], [], ["box1"]),
        ("Forward 2 of 2: add", ["3", "9", "12"], [], ["box2"]),
        ("Backward begins", ["3", "9", "12"], ["d = 1"], ["box2"]),
        ("Backward 1 of 2: add", ["3", "9", "12"], [*roads[:2], "d = 1", "d = 1"], ["box2"]),
        ("Backward 2 of 2: mul", ["3", "9", "12"], [*roads, "d = 1", "d = 1"], ["box1"]),
    ]
    assert browser.js(ROWS)[-1] == ["d of x so far", "1 + 3 + 3 = 7"]
    assert browser.js(HEADING) == "Backward 2 of 2: mul"  # there is no step behind the last
    browser.press("ArrowLeft")
    assert browser.js(ROWS)[-1] == ["d of x so far", "1; 2 more to come"]
    browser.press("Home")
    assert browser.js(HEADING) == "The leaves" and browser.js(SHOWN + "('cotangent')") == []
    assert browser.js("document.getElementById('back').disabled")
    browser.press("End")
    assert browser.js("document.getElementById('next').disabled")
    assert len(browser.requests) == 1  # the page itself


def test_arrowheads_point_down_forward_and_up_backward(browser, scalar):
    browser.open(scalar)
    shown = """["head", "tail"].map(name => [...document.querySelectorAll("#graph .road.now ." + name)]
        .filter(head => getComputedStyle(head).display != "none").length)"""
    seen = []
    for _ in range(6):
        seen.append(browser.js(shown))
        browser.press("ArrowRight")
    assert seen == [[0, 0], [2, 0], [2, 0], [0, 0], [0, 2], [0, 2]]


def test_by_mouse_slider_and_tab(browser, scalar):
    browser.open(scalar)
    browser.click("#next")
    assert browser.js(HEADING) == "Forward 1 of 2: mul"
    browser.click("#last")
    browser.click("#box2 rect")  # on the way back, a box is its step back
    assert browser.js(HEADING) == "Backward 1 of 2: add"
    browser.click("#first")
    browser.click("#box2 rect")
    assert browser.js(HEADING) == "Forward 2 of 2: add"
    browser.js("document.getElementById('slider').focus()")
    browser.press("ArrowRight")
    assert browser.js("[now, document.getElementById('slider').value]") == [3, "3"]
    browser.js("(s => { s.value = 1; s.dispatchEvent(new Event('input')) })(document.getElementById('slider'))")
    assert browser.js(HEADING) == "Forward 1 of 2: mul"
    browser.js("document.getElementById('graph').focus()")
    browser.press("Tab")
    browser.press("Tab")
    assert browser.js("document.activeElement.id") == "box2"
    browser.press("Enter")
    assert browser.js(HEADING) == "Forward 2 of 2: add"
    code, place = (browser.js(f"document.getElementById('{name}').textContent") for name in ("code", "place"))
    assert code.startswith("class Add(") and place.startswith("tinynet/ops/arithmetic.py:")
    assert browser.js("document.getElementById('called').textContent").startswith("test_page.py:")


@pytest.mark.parametrize("width, height", [(1280, 800), (375, 700)])
def test_it_fits_a_screen_and_a_phone(browser, network, width, height):
    browser.resize(width, height, mobile=width < 500)
    browser.open(network)
    assert browser.js("document.documentElement.scrollWidth") <= width
    browser.js("""window.appears = (id, place = name => document.getElementById(name).getBoundingClientRect()) =>
        new Promise(done => {
            const [a, b] = [place(id), place("graph")];
            const seen = a.x < b.right && a.right > b.x && a.y < b.bottom && a.bottom > b.y;
            seen ? done(true) : setTimeout(() => done(appears(id)), 20);
        })""")
    for _ in range(browser.js("steps.length")):
        (box,) = browser.js(NOW) or ["box0"]
        assert browser.js(f"appears('{box}')")  # it scrolls to where something happens
        assert browser.js("document.documentElement.scrollWidth") <= width
        browser.press("ArrowRight")
    assert browser.js(HEADING) == "Backward 6 of 6: conv2d"
    browser.click("#fit")
    assert browser.js("(g => g.scrollWidth <= g.clientWidth)(document.getElementById('graph'))")
    before = browser.js("document.querySelector('#graph svg').getBoundingClientRect().width")
    browser.click("#larger")
    after = browser.js("document.querySelector('#graph svg').getBoundingClientRect().width")
    assert after == pytest.approx(1.25 * before, rel=0.01)


def test_every_control_has_a_name(browser, network):
    browser.open(network)
    names = browser.js("""[...document.querySelectorAll("button, input, [tabindex]")].map(x =>
        x.getAttribute("aria-label") || x.querySelector("title").textContent)""")
    assert all(names) and len(names) == 8 + 1 + 6  # the controls, the graph and its operations


def test_a_text_in_dark_has_contrast_with_its_box(browser, network):
    for scheme in ("light", "dark"):
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(network)
        colors = browser.js("""[...document.querySelectorAll("#graph .box text")].map(text =>
            [getComputedStyle(text).fill, getComputedStyle(text.parentNode.querySelector("rect")).fill])""")
        for ink, paper in {tuple(pair) for pair in colors}:
            high, low = sorted((luminance(ink), luminance(paper)), reverse=True)
            assert (high + 0.05) / (low + 0.05) > 4.5, (scheme, ink, paper)  # WCAG 2.2, AA
    browser.send("Emulation.setEmulatedMedia", features=[])


def luminance(color):
    """Relative luminance of "rgb(r, g, b)" (WCAG 2.2)."""
    c = np.array([float(x) for x in color[4:-1].split(",")]) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]

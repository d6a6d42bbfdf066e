"""The page of a run in a browser: stepped through with keys, clicked, and its numbers compared with the library's."""

import numpy as np
import pytest

import tiny_run
import tinynet
from tiny_run import decoded
from tinynet.explain.page import contents, html

TARGET, EPSILON = 1, 2.0**-22


@pytest.fixture(scope="module", params=["strong LRN"])
def case(request, tmp_path_factory):
    """(the file, the page as a dict, the library's steps)"""
    image, pixels = tiny_run.picture()
    model, steps = tiny_run.model(request.param), tiny_run.recorded(request.param, TARGET)
    nearest = [(pixels, "cat"), (pixels, "</script>")]
    page = contents(model, image, pixels, tiny_run.CLASSES, TARGET, nearest, "a note", about={"picture": "<b>x</b>"})
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html(page))
    return path, page, steps


def open_page(browser, path):
    browser.open(path)
    browser.js("new Promise(done => (function wait() {"
               "document.body.classList.contains('ready') ? done() : setTimeout(wait, 20) })())")


def read(browser):
    """What the panes say now: (where, [(computed, recorded)], activation and cotangent of the unit)."""
    return browser.js("""[
        document.querySelector("#where b").textContent,
        [...document.querySelectorAll("#unit .result")].map(p =>
            [Number(p.querySelector(".computed").value), Number(p.querySelector(".recorded").value)]),
        document.querySelector("#unit .both").textContent.replaceAll("−", "-").match(/[-0-9.e]+(?=,|$)/g).map(Number),
        state,
    ]""")


class Expected:
    """The library's numbers at one position of the slider, and how far those on the page may be off."""

    def __init__(self, page, steps, position):
        n = len(steps)
        self.backward, i = position >= n, position if position < n else 2 * n - 1 - position
        self.page, self.step, self.described = page, steps[i], page["steps"][i]
        self.shown = "inputs" if self.backward or self.step.kind == "loss" else "outputs"

    def values(self, side, device):
        """(the library's value, half a step of its data and of its cotangent on the page)"""
        values, numbers = getattr(self.step, side), self.described[side]
        d = min(device, len(values) - 1)
        pair = self.page["values"][numbers[d]]
        return values[d], *(decoded(self.page["arrays"][pair[kind]])[1].max() for kind in ("data", "cotangent"))

    def unit(self, state):
        """Its activation and cotangent in the library, and half a step of each."""
        value, *halves = self.values(self.shown, state["device"])
        index = tuple(state["unit"]) if value.data.ndim == 4 else state["unit"][:1]
        return [(array[0][tuple(index)], half)
                for array, half in zip((value.data, value.cotangent), halves, strict=True)]

    def rank(self, state):
        """How the page ranks a unit, to find the one to begin with."""
        data, cotangent = (true for true, _ in self.unit(state))
        return abs(cotangent) if self.backward else data

    def tolerance(self, device):
        """How far the sum of the terms on the page may be from the library's number.

        Each term is a product of numbers that are off by half a step: |a b - a' b'| <= |a| e_b + |b| e_a + e_a e_b.
        """
        x, ex, edx = self.values("inputs", device)
        y, _, edy = self.values("outputs", device)
        if self.step.kind == "conv":
            part = self.described["parts"][device]
            w, b = self.step.nodes[device].inputs[1].data, decoded(self.page["arrays"][part["bias"]])[1].max()
            ew = decoded(self.page["arrays"][part["weight"]])[1].max()
            other, e, count = (y.cotangent, edy, w[:, 0].size) if self.backward else (x.data, ex, w[0].size)
            return count * (np.abs(w).max() * e + np.abs(other).max() * ew + e * ew) + (0 if self.backward else b)
        if self.step.kind == "fc":
            way = self.described["parts"][device]["backward" if self.backward else "forward"]
            halves = {name: decoded(self.page["arrays"][way[name]])[1].max() for name in ("weights", "rest")}
            b = 0 if self.backward else decoded(self.page["arrays"][self.described["parts"][device]["bias"]])[1].max()
            w = self.step.nodes[device].inputs[1].data
            other, e = (y.cotangent, edy) if self.backward else (x.data, ex)
            return 8 * (np.abs(w).max() * e + np.abs(other).max() * halves["weights"] * 1.01) + halves["rest"] + b
        if self.step.kind == "lrn":
            # With s >= 2 and alpha / size * x_i x_j <= s, each of the 5 slopes dy_i/dx_j is at most s^-0.75 * 1.75 < 2,
            # and each of the 5 * 9 slopes of those at most 9.75 * s^-1.25 * sqrt(alpha / size) < 2.
            return 10 * edy + 90 * ex * np.abs(y.cotangent).max() if self.backward else 10 * ex
        if self.step.kind == "loss":  # softmax's slope is at most 1 / 4, the loss's at most 2
            return 2 * ex + edx
        return 9 * (edy if self.backward else ex)  # sums of at most 9 windows or 2 devices


def check(browser, page, steps, position):
    where, results, both, state = read(browser)
    expected = Expected(page, steps, position)
    way = "backward" if expected.backward else "forward"
    assert where.startswith(way) and where.endswith(f": {expected.step.name}")
    for shown, (true, half) in zip(both, expected.unit(state), strict=True):
        assert abs(shown - true) <= half + 0.0006 * abs(true), where  # four digits
    true, half = expected.unit(state)[expected.backward]
    computed, recorded = results[0]
    slack = EPSILON * max(1, abs(true))
    if expected.step.kind == "loss" and not expected.backward:
        p = page["probabilities"][state["unit"][0]]
        assert recorded == p and abs(computed - p) <= expected.tolerance(0) + slack, where
        (loss, told) = results[1]
        assert told == steps[-1].outputs[0].data and abs(loss - told) <= expected.tolerance(0) + slack * abs(told)
    else:
        assert abs(recorded - true) <= half + slack * abs(true), where
        assert abs(computed - true) <= expected.tolerance(state["device"]) + half + slack * abs(true), where
    return state


def test_every_step_forward_and_backward_shows_the_librarys_numbers(browser, case):
    path, page, steps = case
    open_page(browser, path)
    for position in range(2 * len(steps)):
        check(browser, page, steps, position)
        browser.js("state.device = shownValues().length - 1; choose(state.device, mostTelling(shownValue()))")
        state = check(browser, page, steps, position)
        if (expected := Expected(page, steps, position)).step.kind != "loss":
            value, *halves = expected.values(expected.shown, state["device"])
            ranked = np.abs(value.cotangent) if expected.backward else value.data
            assert expected.rank(state) >= ranked.max() - 2 * halves[expected.backward]
        for key in (".", "ArrowUp", "ArrowRight", "ArrowRight"):  # another map, a row up, two columns on
            browser.press(key, shift=key != ".")
        check(browser, page, steps, position)
        browser.press("ArrowRight")
    browser.press("ArrowRight")  # there is nothing behind the last step
    assert browser.js("state.position") == 2 * len(steps) - 1
    browser.press("ArrowLeft")
    assert browser.js("state.position") == 2 * len(steps) - 2
    assert browser.requests == [path.as_uri()]


@pytest.mark.parametrize("case", ["paper"], indirect=True)
def test_dropout_as_in_2012_halves_in_evaluation(browser, case):
    path, page, steps = case
    open_page(browser, path)
    positions = [i for i, step in enumerate([*steps, *reversed(steps)]) if step.kind == "dropout"]
    assert len(positions) == 4
    for position in positions:
        browser.js(f"goTo({position})")
        check(browser, page, steps, position)


def test_a_click_on_a_unit_shows_its_numbers(browser, case):
    path, page, steps = case
    open_page(browser, path)
    for position in (1, 4, 10, 2 * len(steps) - 2):  # conv1, pool1, conv3, conv1 backward
        browser.js(f"goTo({position})")
        maps, height, width = browser.js("dataOf(shownValue()).maps")
        for scale, device in (("activation", 0), ("cotangent", 1)):
            canvas = f"canvas[data-scale={scale}][data-device='{device}']"
            layout = browser.js(f"layouts.get(document.querySelector(\"{canvas}\"))")
            box = browser.js(f"(c => [c.clientWidth, c.clientHeight])(document.querySelector(\"{canvas}\"))")
            asked = [maps - 1, height // 2, width - 1]
            left = asked[0] % layout["across"] * layout["right"] + (asked[2] + 0.5) * layout["zoom"]
            top = asked[0] // layout["across"] * layout["down"] + (asked[1] + 0.5) * layout["zoom"]
            browser.click(canvas, left / box[0], top / box[1])
            state = check(browser, page, steps, position)
            assert (state["device"], state["unit"]) == (device, asked)
    browser.click("[data-step='5'][data-device='1']")
    assert "conv2" in read(browser)[0] and browser.js("state.device") == 1


def test_the_verdict_and_what_is_said_of_it(browser, case):
    path, page, _ = case
    open_page(browser, path)
    below = browser.js("document.querySelector('#below').innerText")
    assert "</script>" in below and "a note" in below and "Saliency of dog" in below
    assert browser.js("Number(document.querySelector('#loss').value)") == page["loss"]
    assert browser.js("document.querySelectorAll('.nearest img').length") == 2
    assert browser.js("document.querySelector('#about').innerText").endswith("<b>x</b>")
    shown = browser.js("[...document.querySelectorAll('#below .number')].map(cell => cell.innerText)")
    assert shown == [f"{100 * p:.1f} %" for p in sorted(page["probabilities"], reverse=True)]


def test_a_network_that_is_sure_is_said_to_have_nothing_to_learn(browser, case, tmp_path):
    path, page, steps = case
    open_page(browser, path)
    browser.js(f"goTo({len(steps)})")
    assert "next to nothing to learn" not in browser.js("document.body.innerText")
    (tmp_path / "sure.html").write_text(html(page | {"loss": 1e-4}))
    open_page(browser, tmp_path / "sure.html")
    browser.js(f"goTo({len(steps)})")
    assert browser.js("document.body.innerText").count("sure of dog: there is next to nothing to learn") == 2


def test_what_a_unit_sees_of_the_picture_is_where_its_gradient_is(browser, case):
    """The receptive field of a unit, against the gradient of its activation by the picture, from the library."""
    path, _, _ = case
    open_page(browser, path)
    image, _ = tiny_run.picture()
    model = tiny_run.model().eval()
    for number, name, unit in ((1, "conv1", (3, 2, 5)), (5, "conv2", (4, 0, 3)), (10, "conv3", (5, 1, 1))):
        kept = {}
        images = tinynet.tensor(image[None], requires_grad=True)
        model(images, lambda name, xs, kept=kept: kept.update({name: xs}))
        y = kept[name][0]
        seed = np.zeros(y.shape, np.float32)
        seed[(0, *unit)] = 1
        y.backward(seed)
        rows, columns = np.nonzero(np.abs(images.grad[0]).max(0))
        top, bottom, left, right = browser.js(f"receptiveField({number}, {list(unit)})")
        assert top <= rows.min() and rows.max() <= bottom and left <= columns.min() and columns.max() <= right
        # Windows end where they must: a unit behind one convolution uses every pixel of its window.
        if name == "conv1":
            assert [top, bottom, left, right] == [rows.min(), rows.max(), columns.min(), columns.max()]


def test_a_phone_is_wide_enough_and_tab_goes_through_the_panes(browser, case):
    path, page, _ = case
    browser.resize(375, 760, mobile=True)
    open_page(browser, path)
    for position in range(2 * len(page["steps"])):
        browser.js(f"goTo({position})")
        assert browser.js("document.documentElement.scrollWidth") == 375, position
    browser.resize(1280, 900)
    browser.js("document.querySelector('#previous').focus()")
    seen = []
    for _ in range(60):
        browser.press("Tab")
        seen.append(browser.js("document.activeElement.id"))
    panes = [name for name in seen if name in ("slider", "next", "network", "maps", "unit", "below")]
    assert list(dict.fromkeys(panes)) == ["slider", "next", "network", "maps", "unit", "below"]


def test_keys_that_belong_to_a_slider_stay_with_it(browser, case):
    path, _, _ = case
    open_page(browser, path)
    browser.press("ArrowRight")
    browser.js("document.querySelector('.picker input').focus()")
    before = browser.js("state.position")
    browser.press("ArrowLeft")
    assert browser.js("state.position") == before == 1

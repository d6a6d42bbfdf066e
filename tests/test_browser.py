"""The browser that other tests drive: it sees what a page does."""

PAGE = """<!doctype html><title>a page</title><button style="width: 300px; border: 0">press</button><script>
let seen = [];
addEventListener("keydown", event => seen.push(event.key));
document.querySelector("button").addEventListener("click", event => seen.push(event.offsetX));
</script>"""


def test_it_presses_clicks_reads_back_and_takes_a_picture(browser, tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    browser.open(tmp_path / "page.html")
    browser.press("ArrowRight")
    browser.press("a")
    browser.click("button", x=0.25)
    assert browser.js("seen") == ["ArrowRight", "a", 75]
    browser.resize(375, 700)
    assert browser.js("innerWidth") == 375
    browser.screenshot(tmp_path / "page.png", whole=True)
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert browser.requests == [(tmp_path / "page.html").as_uri()]


def test_it_notices_errors_and_requests(browser, tmp_path):
    (tmp_path / "page.html").write_text("<script src='missing.js'></script><script>oh()</script>")
    browser.open(tmp_path / "page.html")
    assert "oh is not defined" in str(browser.errors)
    assert (tmp_path / "missing.js").as_uri() in browser.requests
    browser.errors.clear()

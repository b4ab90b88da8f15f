"""The page in a real browser: quiet, readable on a phone, and its slider moves the picture."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgevae_bench.page.arrange import arrange
from edgevae_bench.page.document import to_html
from edgevae_bench.page.view import Pictures

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "headless=new",
    # A container runs as root and has a small /dev/shm, and neither sandbox nor GPU.
    *("no-sandbox", "disable-gpu", "disable-dev-shm-usage"),
    # Nothing from the network, and nothing that is not looked at.
    *("disable-background-networking", "disable-component-update", "disable-sync"),
    *("disable-extensions", "no-first-run"),
)
RED, BLUE = (210, 30, 40), (20, 40, 220)
WIDE, PHONE = (1280, 900), (360, 740)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:  # Any: selenium has no stubs
    """Headless Chromium, opened once."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the dev extra")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser: install the packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    service = webdriver.chrome.service.Service(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as opened:
        yield opened


@pytest.fixture
def page(result, times, still) -> str:
    """A page whose source is red and whose reconstruction is blue, on two frames."""
    shown = [still(title, i, source=RED, made=BLUE) for i, title in enumerate(("first", "last"))]
    return to_html(arrange(result, times), Pictures(subject="onnxruntime_fp32", shown=shown))


@pytest.fixture
def visit(browser, tmp_path) -> Callable[..., Any]:
    """A function that opens a page at a size and in a colour scheme."""

    def visit(page: str, size: tuple[int, int] = WIDE, scheme: str = "light") -> Any:
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1}
        metrics["mobile"] = size == PHONE
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        browser.get_log("browser")  # forget what another page said
        browser.get(file.as_uri())
        return browser

    return visit


def element(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def scroll_to(browser: Any, seen: Any) -> None:
    """Bring an element to the middle, and wait for the scroll event, which comes with a later frame."""
    browser.execute_async_script(
        "arguments[0].scrollIntoView({block: 'center'});"
        "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(arguments[1], 50)))",
        seen,
    )


def colours(browser: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the colours at a quarter and at three quarters of the picture's width, off the slider's own marks."""
    with Image.open(io.BytesIO(element(browser, ".stage").screenshot_as_png)) as image:
        pixels = np.asarray(image.convert("RGB"))
    row = pixels[len(pixels) // 4].astype(int)
    return tuple(row[len(row) // 4]), tuple(row[3 * len(row) // 4])


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 12


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true while the browser draws."""
    until = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_loads_quietly_and_fits(visit, page, size, scheme):
    browser = visit(page, size, scheme)
    assert browser.get_log("browser") == []
    assert browser.title == "invented: edgevae benchmark"
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= size[0], "the page scrolls sideways"
    with Image.open(io.BytesIO(browser.get_screenshot_as_png())) as image:
        pixels = np.asarray(image.convert("L"))
    ground = float(np.median(pixels))
    assert ground > 200 if scheme == "light" else ground < 60
    assert np.ptp(pixels) > 150, "nothing is drawn"


def test_text_in_charts_is_as_large_on_a_phone_as_on_a_desk(visit, page):
    heights = []
    for size in (WIDE, PHONE):
        browser = visit(page, size)
        heights.append(element(browser, ".chart .name").rect["height"])
        edges = browser.execute_script(
            "return [...document.querySelectorAll('details[open] .chart text')].map(t => {"
            "const r = t.getBoundingClientRect(); return [r.left, r.right]})"
        )
        shown = [(left, right) for left, right in edges if right > left]
        assert len(shown) > 20
        assert all(left >= 0 and right <= size[0] for left, right in shown)
    assert heights[0] == pytest.approx(heights[1], abs=0.5)
    assert heights[0] >= 11


def test_the_slider_moves_the_border_between_source_and_reconstruction(visit, page):
    browser = visit(page)
    left, right = colours(browser)
    assert near(left, RED)
    assert near(right, BLUE)
    slider = element(browser, ".stage input")
    slider.send_keys("\ue010")  # End
    assert slider.get_attribute("value") == "100"
    assert eventually(lambda: near(colours(browser)[1], RED))
    slider.send_keys("\ue011")  # Home
    assert eventually(lambda: near(colours(browser)[0], BLUE))
    slider.send_keys("\ue014" * 3)  # right arrow, three times
    assert slider.get_attribute("value") == "3"
    assert slider.get_attribute("aria-valuetext") == "3 percent source"
    assert browser.get_log("browser") == []


def test_the_slider_follows_a_pointer(visit, page):
    browser = visit(page, PHONE)
    slider = element(browser, ".stage input")
    scroll_to(browser, slider)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", slider)
    x, y = box["x"] + box["width"] * 0.1, box["y"] + box["height"] / 2
    for kind in ("mousePressed", "mouseReleased"):
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    assert eventually(lambda: int(slider.get_attribute("value")) < 20)
    assert eventually(lambda: near(colours(browser)[0], BLUE))


def test_views_and_frames_can_be_chosen(visit, page):
    browser = visit(page)
    for view, expected in (("source", RED), ("made", BLUE), ("difference", (255, 40, 255))):
        element(browser, f"[name=view][value={view}]").click()
        assert eventually(lambda expected=expected: near(colours(browser)[0], expected)), view
    frames = browser.find_elements("css selector", ".frame")
    assert [frame.is_displayed() for frame in frames] == [True, False]
    element(browser, "[name=frame][value='1']").click()
    assert [frame.is_displayed() for frame in frames] == [False, True]
    dots, share = (element(browser, f".{name}-view") for name in ("dots", "share"))
    assert (dots.is_displayed(), share.is_displayed()) == (True, False)
    element(browser, "[name=latency][value=share]").click()
    assert (dots.is_displayed(), share.is_displayed()) == (False, True)


def test_a_mark_tells_its_figures_where_a_finger_taps(visit, page):
    browser = visit(page, PHONE)
    band = element(browser, ".chart .band")
    scroll_to(browser, band)
    tip = element(browser, ".tip")
    assert not tip.is_displayed()
    where = "const r = arguments[0].getBoundingClientRect(); const at = {clientX: r.x + 9, clientY: r.y + 9};"
    event = "new PointerEvent('pointerdown', {...at, bubbles: true})"
    browser.execute_script(f"{where} arguments[0].dispatchEvent({event})", band)
    assert eventually(lambda: tip.text.startswith("pytorch_eager_fp32: median ")), tip.text
    browser.execute_script("scrollBy(0, 40)")
    assert eventually(lambda: not tip.is_displayed())


def test_what_is_planted_into_the_page_neither_runs_nor_loads(visit, page, tmp_path: Path):
    (tmp_path / "other.js").write_text("document.title = 'owned'")
    planted = (
        "<script>document.title = 'owned'</script><script src=other.js></script>"
        "<img src=other.png onerror=\"document.title = 'owned'\"><iframe src=other.html></iframe>"
    )
    browser = visit(page.replace("</main>", f"{planted}</main>"))
    assert browser.title == "invented: edgevae benchmark"
    refused = [entry["message"] for entry in browser.get_log("browser")]
    assert sum("Content Security Policy" in message for message in refused) >= 4, refused

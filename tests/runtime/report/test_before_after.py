from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from support.places import ASSETS
from support.seen_page import TEXT, contrasts, opened_quietly
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.report.before_after import Picture, Table, before_after_page, png_bytes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

RED, GREEN, BLUE = (200, 30, 40), (30, 180, 60), (20, 60, 210)


def plain(colour: tuple[int, int, int], *, height: int = 90, width: int = 160) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    """Three pictures of one colour each, and a table."""
    return before_after_page(
        tmp_path / "page.html",
        title="Before and after",
        machine="A machine",
        summary="What is seen.",
        pictures=[
            Picture("Red", plain(RED), "20.00 dB"),
            Picture("Green", plain(GREEN), "30.00 dB"),
            Picture("Blue", plain(BLUE, height=360, width=640)),
        ],
        tables=[Table("Numbers", ("", "p50 ms"), (("red", "1.5"), ("green", "2.5")), "A note.")],
        credit="By somebody.",
    )


class References(HTMLParser):
    """Collects what a page would load, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        loading = ("src", "href", "srcset", "data", "action", "poster", "background", "ping")
        self.found += [value or "" for name, value in attrs if name in loading]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(path: Path) -> References:
    parser = References()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def test_the_page_loads_nothing_from_elsewhere(page_file: Path) -> None:
    references = read(page_file)
    assert len(references.found) >= 4
    assert all(reference.startswith("data:") for reference in references.found)
    without_data = re.sub(r"data:[a-z/0-9]+;base64,[A-Za-z0-9+/=]+", "", page_file.read_text())
    for way_out in ("://", "@import", "url(", "fetch(", "XMLHttpRequest", "import(", "WebSocket"):
        assert way_out not in without_data
    assert "default-src 'none'" in without_data


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 48)])
def test_pictures_are_embedded_without_loss(size: tuple[int, int], tmp_path: Path) -> None:
    pixels = noise(*size)
    pictures = [Picture("a", pixels), Picture("b", pixels[::-1])]
    path = before_after_page(
        tmp_path / "page.html", title="t", machine="A machine", pictures=pictures
    )
    found = [item for item in read(path).found if item.startswith("data:image/png")]
    for url, picture in zip(found, pictures, strict=True):
        decoded = PIL.Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        assert decoded.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(decoded), picture.pixels)


def test_png_bytes_are_read_by_another_library() -> None:
    pixels = noise(17, 31)
    decoded = PIL.Image.open(io.BytesIO(png_bytes(pixels)))
    np.testing.assert_array_equal(np.asarray(decoded), pixels)


def test_style_and_script_arrive_as_they_are_written(page_file: Path) -> None:
    # Jinja reads them on the way; braces of theirs must not mean anything to it.
    text = page_file.read_text(encoding="utf-8")
    for name in ("page.css", "page.js"):
        assert (ASSETS / name).read_text(encoding="utf-8").rstrip() in text


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&"
    path = before_after_page(
        tmp_path / "page.html",
        title=evil,
        machine="A machine",
        summary=evil,
        pictures=[Picture(evil, plain(RED), evil), Picture("b", plain(BLUE))],
        tables=[Table(evil, (evil,), ((evil,),), evil)],
        credit=evil,
    )
    references = read(path)
    assert references.tags.count("script") == 1
    assert sum(evil in text for text in references.text) >= 8


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([Picture("a", plain(RED))], "^1 "),
        ([Picture("a", plain(RED)), Picture("a", plain(BLUE))], "labels .*a, a"),
        (
            [Picture("a", plain(RED)), Picture("b", plain(RED)[..., :2])],
            r"b: .*uint8 \(90, 160, 2\)",
        ),
        (
            [Picture("a", plain(RED)), Picture("b", plain(RED).astype(np.float32))],
            r"b: .*float32 \(90, 160, 3\)",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    pictures: list[Picture], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        before_after_page(tmp_path / "page.html", title="t", machine="A machine", pictures=pictures)
    assert list(tmp_path.iterdir()) == []


def test_without_jinja2_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    pictures = [Picture("a", plain(RED)), Picture("b", plain(BLUE))]
    with pytest.raises(MissingDependencyError, match=r"jinja2.* pip install "):
        before_after_page(tmp_path / "page.html", title="t", machine="A machine", pictures=pictures)


# --- In a real browser ----------------------------------------------------------------------------


@pytest.fixture
def opened(browser: Browser, page_file: Path) -> Iterator[Page]:
    with opened_quietly(browser, page_file, width=900) as page:
        yield page


def shown(page: Page) -> NDArray[np.uint8]:
    """The stage as it is on the screen."""
    png = page.locator(".stage").screenshot()
    return np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGB"))


def colour_at(page: Page, across: float) -> tuple[int, ...]:
    """Colour of the lower part of the stage, away from labels and handle."""
    pixels = shown(page)
    height, width = pixels.shape[:2]
    return tuple(int(value) for value in pixels[int(height * 0.9), int((width - 1) * across)])


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Divider between the left and the right picture")


@pytest.mark.browser
def test_the_divider_parts_the_pictures(opened: Page) -> None:
    assert colour_at(opened, 0.45) == RED
    assert colour_at(opened, 0.55) == GREEN
    assert slider(opened).get_attribute("aria-valuetext") == "50 % Red, 50 % Green"


@pytest.mark.browser
def test_the_divider_follows_the_pointer(opened: Page) -> None:
    box = opened.locator(".stage").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    opened.mouse.move(box["x"] + box["width"] * 0.5, middle)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=5)
    assert colour_at(opened, 0.75) == RED
    assert colour_at(opened, 0.85) == GREEN
    opened.mouse.move(box["x"] - 50, middle)  # past the edge: it stays inside
    opened.mouse.up()
    assert colour_at(opened, 0.05) == GREEN
    opened.mouse.move(box["x"] + box["width"] * 0.5, middle)  # let go: it stays where it was
    assert colour_at(opened, 0.05) == GREEN


@pytest.mark.browser
def test_the_divider_obeys_the_keyboard(opened: Page) -> None:
    slider(opened).focus()
    for _ in range(10):
        opened.keyboard.press("ArrowLeft")
    assert slider(opened).get_attribute("aria-valuetext") == "40 % Red, 60 % Green"
    assert colour_at(opened, 0.35) == RED
    assert colour_at(opened, 0.45) == GREEN
    opened.keyboard.press("End")
    assert colour_at(opened, 0.95) == RED
    opened.keyboard.press("Home")
    assert colour_at(opened, 0.05) == GREEN


@pytest.mark.browser
def test_any_two_pictures_can_be_picked(opened: Page) -> None:
    opened.get_by_label("Right", exact=True).select_option("Blue")
    assert (colour_at(opened, 0.25), colour_at(opened, 0.75)) == (RED, BLUE)
    opened.get_by_role("button", name="Swap left and right").click()
    assert (colour_at(opened, 0.25), colour_at(opened, 0.75)) == (BLUE, RED)
    # Picking what the other side shows gives that side what was here.
    opened.get_by_label("Left", exact=True).select_option("Red")
    assert (colour_at(opened, 0.25), colour_at(opened, 0.75)) == (RED, BLUE)


@pytest.mark.browser
def test_zoom_enlarges_about_the_middle_and_pans(browser: Browser, tmp_path: Path) -> None:
    # Four coloured quarters; enlarged twice about the middle, then moved to a corner.
    quarters = np.zeros((90, 160, 3), dtype=np.uint8)
    quarters[:45, :80], quarters[:45, 80:] = RED, GREEN
    quarters[45:, :80], quarters[45:, 80:] = BLUE, (250, 250, 250)
    path = before_after_page(
        tmp_path / "page.html",
        title="t",
        machine="A machine",
        pictures=[Picture("a", quarters), Picture("b", quarters.copy())],
    )
    page = browser.new_page(viewport={"width": 900, "height": 800})
    page.goto(path.as_uri())
    assert colour_at(page, 0.1) == BLUE
    page.get_by_role("button", name="2x").click()
    assert colour_at(page, 0.1) == BLUE
    slider(page).focus()
    for _ in range(20):
        page.keyboard.press("Shift+ArrowUp")
    # The view is now in the middle of the top edge: the upper quarters fill it.
    assert colour_at(page, 0.1) == RED
    assert colour_at(page, 0.9) == GREEN
    page.keyboard.press("0")
    assert colour_at(page, 0.1) == BLUE
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1400])
def test_nothing_sticks_out_and_text_can_be_read(
    browser: Browser, page_file: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = contrasts(page, TEXT)
    context.close()
    assert len(found) >= 10
    # WCAG 2.2, success criterion 1.4.3 (AA), for text of ordinary size.
    assert [one for one in found if one[1] < 4.5] == []


@pytest.mark.browser
def test_long_names_do_not_widen_the_page(browser: Browser, tmp_path: Path) -> None:
    name = "a_name_that_cannot_be_broken_" * 5
    path = before_after_page(
        tmp_path / "page.html",
        title=name,
        machine="A machine",
        pictures=[Picture(name, plain(RED), "20.00 dB"), Picture("b" + name, plain(GREEN))],
        tables=[Table(name, ("", name), ((name, name),))],
        credit=name,
    )
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    left, right = (caption.bounding_box() for caption in page.locator("figcaption").all())
    assert left
    assert right
    assert left["x"] + left["width"] < right["x"]
    page.close()


@pytest.mark.browser
def test_on_paper_every_picture_is_there(opened: Page) -> None:
    opened.emulate_media(media="print")
    boxes = [figure.bounding_box() for figure in opened.locator("figure").all()]
    corners = {(box["x"], box["y"]) for box in boxes if box}
    assert len(corners) == 3
    assert opened.locator("figcaption").all_inner_texts()[0].split() == ["Red", "20.00", "dB"]
    assert not opened.locator(".toolbar").is_visible()


@pytest.mark.browser
def test_without_a_script_every_picture_is_there(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert all(image.is_visible() for image in page.locator("figure img").all())
    assert not page.locator(".toolbar").is_visible()
    context.close()

"""Pages in a real browser: what they complain about, and whether they can be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEXT = "h1,h2,h3,p,th,td,dt,dd,li,button,select,label,kbd"


@contextmanager
def opened_quietly(browser: Browser, path: Path, *, width: int) -> Iterator[Page]:
    """The page, open; fails the test if it complained or asked for anything."""
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert [text for text in complaints if not text.startswith("data:")] == [path.as_uri()]


def contrasts(page: Page, names: str, paint: str = "color") -> list[tuple[str, float]]:
    """Contrast of what is seen of some elements with the nearest opaque colour behind each.

    Args:
        page: The page, open.
        names: CSS selector of the elements.
        paint: Property that holds their colour: `color`, `fill` or `stroke`.

    Returns:
        What it is and its contrast ratio, in [1, 21], as WCAG 2.2 defines it.
    """
    found: list[tuple[str, float]] = page.evaluate(_CONTRASTS, [names, paint])
    return found


_CONTRASTS = """([names, paint]) => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll(names)) {
    const words = element.textContent.trim();
    if (!element.getClientRects().length || (paint === "color" && !words)) continue;
    const [a, b] = [light(rgb(getComputedStyle(element)[paint])), light(behind(element))];
    const what = `${element.tagName} ${words.slice(0, 20)}`;
    found.push([what, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""

"""The page of `vsrc compare` in a real browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest

from vsrc.runtime.quality.compare_config import CompareConfig
from vsrc.runtime.quality.comparison import compare

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Make = Callable[..., Any]

COUNT, STEP = 24, 10
"""Frames of the clips that follow; frame i is grey of value 10 + 10 i, so it can be read off."""


@pytest.fixture
def playing(browser: Browser, tmp_path: Path, lossless: Make) -> Page:
    grey = 10 + STEP * np.arange(COUNT, dtype=np.uint8)[:, None, None, None]
    frames = np.broadcast_to(grey, (COUNT, 90, 160, 3))
    path = tmp_path / "page.html"
    compare(CompareConfig(lossless("l", frames), lossless("r", frames.copy()), output=path))
    page = browser.new_page(viewport={"width": 900, "height": 800})
    page.goto(path.as_uri())
    wait_until(page, "[...document.querySelectorAll('video')].every(v => v.readyState == 4)")
    return page


def wait_until(page: Page, condition: str) -> None:
    """Ask again and again; Playwright's own wait needs `eval`, which the page forbids."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"in 20 seconds never true: {condition}")


def frames_shown(page: Page) -> tuple[float, float]:
    """Which frame the left and the right clip show, read off the screen."""
    wait_until(page, "[...document.querySelectorAll('video')].every(v => !v.seeking)")
    page.wait_for_timeout(100)  # the seek is done; let the compositor draw it
    pixels = np.asarray(
        PIL.Image.open(io.BytesIO(page.locator(".stage").screenshot())).convert("L"), dtype=float
    )
    row = pixels[int(pixels.shape[0] * 0.9)]
    quarter = len(row) // 4
    left, right = ((row[place] - 10) / STEP for place in (quarter, 3 * quarter))
    return left, right


def assert_shown(page: Page, frame: int) -> None:
    """Both clips show this frame; a busy machine may take some time to draw it."""
    for _ in range(20):
        # Limited-range YUV rounds greys by one or two of 255: a fifth of a frame here.
        if (shown := frames_shown(page)) == pytest.approx((frame, frame), abs=0.4):
            return
    pytest.fail(f"frame {frame} was asked for, {shown} are shown")


@pytest.mark.browser
def test_clips_step_together_by_one_frame(playing: Page) -> None:
    assert_shown(playing, 0)
    slider = playing.get_by_role("slider", name="Divider between")
    slider.focus()
    for _ in range(3):
        playing.keyboard.press(".")
    assert_shown(playing, 3)
    assert playing.locator("output").inner_text() == f"4 / {COUNT}"
    playing.keyboard.press(",")
    assert_shown(playing, 2)
    playing.get_by_role("slider", name="Frame", exact=True).fill("17")
    assert_shown(playing, 17)


@pytest.mark.browser
def test_clips_play_within_one_frame_of_each_other(playing: Page) -> None:
    # Each clip reports the time of the frame it presents, before the browser draws; what is drawn
    # together is compared each time that it draws.
    playing.evaluate("""() => {
        window.apart = [];
        const clips = [...document.querySelectorAll("video")];
        const shown = clips.map(() => null);
        clips.forEach((clip, index) => {
            const note = (_now, data) => {
                shown[index] = data.mediaTime;
                clip.requestVideoFrameCallback(note);
            };
            clip.requestVideoFrameCallback(note);
        });
        const draw = () => {
            if (shown.every((time) => time !== null)) apart.push(Math.abs(shown[0] - shown[1]));
            requestAnimationFrame(draw);
        };
        draw();
    }""")
    playing.get_by_role("button", name="Play").click()
    wait_until(playing, "window.apart.length >= 90")
    playing.get_by_role("button", name="Pause").click()
    apart = np.array(playing.evaluate("window.apart")) * 25
    # While one has jumped back to the start and the other not yet, they are a whole clip apart.
    near = apart[apart < COUNT / 2]
    assert len(near) >= 0.8 * len(apart)
    assert np.quantile(near, 0.95) <= 1.01


@pytest.mark.browser
def test_space_plays_and_stops(playing: Page) -> None:
    playing.get_by_role("slider", name="Divider between").focus()
    paused = "[...document.querySelectorAll('video')].map(v => v.paused)"
    assert playing.evaluate(paused) == [True, True]
    playing.keyboard.press("Space")
    assert playing.evaluate(paused) == [False, False]
    playing.keyboard.press("Space")
    assert playing.evaluate(paused) == [True, True]


@pytest.fixture
def scored(browser: Browser, tmp_path: Path, lossless: Make) -> Page:
    """Grey clips against a reference; right gets worse from frame to frame but for frame 5."""
    grey = 10 + STEP * np.arange(COUNT, dtype=np.uint8)[:, None, None, None]
    truth = np.broadcast_to(grey, (COUNT, 90, 160, 3)).astype(np.uint8)
    right = truth.copy()
    for index in range(COUNT):
        right[index, ::2] += np.uint8(30 if index == 4 else 1 + index // 4)
    path = tmp_path / "page.html"
    files = [lossless(*pair) for pair in (("l", truth + np.uint8(1)), ("r", right), ("t", truth))]
    compare(CompareConfig(files[0], files[1], files[2], path))
    page = browser.new_page(viewport={"width": 900, "height": 1400})
    page.goto(path.as_uri())
    wait_until(page, "[...document.querySelectorAll('video')].every(v => v.readyState == 4)")
    return page


@pytest.mark.browser
def test_the_worst_frames_come_first_and_lead_there(scored: Page) -> None:
    worst = scored.get_by_role("group", name="Worst frames of r.mkv").get_by_role("button")
    texts = worst.all_inner_texts()
    assert int(texts[0].split()[0]) == 5
    decibels = [float(text.split()[1]) for text in texts]
    assert decibels == sorted(decibels)
    worst.first.click()
    assert scored.locator("output").inner_text() == f"5 / {COUNT}"
    assert worst.first.get_attribute("aria-current") == "true"
    wait_until(scored, "[...document.querySelectorAll('video')].every(v => !v.seeking)")
    # Frame 5 lies between 0.16 and 0.2 s at 25 frames a second.
    assert 0.16 < scored.evaluate("document.querySelector('video').currentTime") < 0.2
    worst.nth(1).focus()
    scored.keyboard.press("Enter")
    assert scored.locator("output").inner_text() != f"5 / {COUNT}"


@pytest.mark.browser
def test_a_click_on_the_curve_goes_to_its_frame(scored: Page) -> None:
    curve = scored.get_by_role("img", name="PSNR of luma")
    places = scored.evaluate("""() => {
        // Where the browser itself draws each point of the right clip's curve.
        const line = document.querySelector('svg[aria-label="PSNR of luma"] polyline.c1');
        const matrix = line.getScreenCTM();
        return [...line.points].map((p) => p.matrixTransform(matrix)).map((p) => [p.x, p.y]);
    }""")
    assert len(places) == COUNT
    for frame in (0, 11, COUNT - 1):
        scored.mouse.click(places[frame][0], places[frame][1] + 5)
        assert scored.locator("output").inner_text() == f"{frame + 1} / {COUNT}"
        head = curve.locator(".playhead").bounding_box()
        assert head
        assert head["x"] + head["width"] / 2 == pytest.approx(places[frame][0], abs=1.5)


@pytest.mark.browser
def test_the_playhead_follows_the_clip(scored: Page) -> None:
    head = scored.locator(".playhead").first
    before = head.get_attribute("x1")
    scored.get_by_role("button", name="Play", exact=True).click()
    wait_until(scored, f"document.querySelector('.playhead').getAttribute('x1') != {before}")
    scored.get_by_role("button", name="Pause").click()

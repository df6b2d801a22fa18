"""Pictures that nobody photographed: print, calendars and facades, as sharp as a frame can be.

Footage that may be used is mostly film and nature. Streets, signs and print have other detail, and
super-resolution is judged by them. A poster is drawn at three times its size and reduced by area
averaging, so that every edge is as sharp as the grid of pixels allows, and no sharper.
"""

from __future__ import annotations

import string
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray

HEIGHT, WIDTH = 1000, 1500
OVER = 3
"""It is drawn so many times larger."""

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "cmr10")
"""Come with matplotlib."""

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]


def poster(seed: int) -> Picture:
    """A picture of `HEIGHT x WIDTH`, `(H, W, 3)` RGB, a pure function of the seed."""
    rng = np.random.default_rng([20, seed])
    canvas = PIL.Image.new("RGB", (WIDTH * OVER, HEIGHT * OVER), _colour(rng, light=True))
    rows, columns = (int(rng.integers(2, 4)) for _ in range(2))
    parts = (print_, calendar, facade, facade, hatching)
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.12:
                continue  # the ground shows
            size = (WIDTH * OVER // columns, HEIGHT * OVER // rows)
            part = PIL.Image.new("RGB", size, _colour(rng, light=rng.random() < 0.6))
            parts[int(rng.integers(len(parts)))](rng, part)
            if rng.random() < 0.5:
                part = _in_perspective(rng, part)
            canvas.paste(part, (column * size[0], row * size[1]))
    small = cv2.resize(np.asarray(canvas), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return _weathered(rng, small.astype(np.uint8))


def print_(rng: np.random.Generator, part: PIL.Image.Image) -> None:
    """Lines of made-up words, from small print to headlines."""
    draw, (width, height) = PIL.ImageDraw.Draw(part), part.size
    top = 20
    while top < height - 40:
        size = int(np.exp(rng.uniform(np.log(24), np.log(200))))
        font, colour = _font(rng, size), _contrasting(rng, part)
        for _ in range(int(rng.integers(1, 6))):
            draw.text((20, top), _words(rng, 1 + width // size * 2), fill=colour, font=font)
            top += int(size * 1.25)


def calendar(rng: np.random.Generator, part: PIL.Image.Image) -> None:
    """A month: ruled fields, a number in each, print below some of them."""
    draw, (width, height) = PIL.ImageDraw.Draw(part), part.size
    across, down = 7, 6
    colour, red = _contrasting(rng, part), (int(rng.integers(150, 230)), 30, 40)
    size = int(min(width / across, height / down) * rng.uniform(0.25, 0.6))
    large, small = _font(rng, size), _font(rng, max(18, size // 3))
    line = int(rng.integers(2, 10))
    for number in range(across * down):
        left, top = number % across * width // across, number // across * height // down
        draw.rectangle(
            (left, top, left + width // across, top + height // down), outline=colour, width=line
        )
        fill = red if number % across == across - 1 else colour
        draw.text((left + 12, top + 6), str(number % 31 + 1), fill=fill, font=large)
        if rng.random() < 0.4:
            below = (left + 12, top + 6 + int(size * 1.2))
            draw.text(below, _words(rng, 9), fill=fill, font=small)


def facade(rng: np.random.Generator, part: PIL.Image.Image) -> None:
    """Rows of windows with frames, sills and blinds, each a little different."""
    draw, (width, height) = PIL.ImageDraw.Draw(part), part.size
    across, down = (int(np.exp(rng.uniform(np.log(5), np.log(45)))) for _ in range(2))
    wide, high = width / across, height / down
    gap = rng.uniform(0.12, 0.4, 2)
    wall, glass = _contrasting(rng, part), _colour(rng, light=False)
    for row in range(down):
        for column in range(across):
            left, top = (column + gap[0] / 2) * wide, (row + gap[1] / 2) * high
            right, bottom = left + wide * (1 - gap[0]), top + high * (1 - gap[1])
            shade = rng.uniform(0.5, 1.5)
            fill = tuple(int(min(255, channel * shade)) for channel in glass)
            draw.rectangle((left, top, right, bottom), fill=fill, outline=wall, width=3)
            if rng.random() < 0.5:
                middle = (left + right) / 2
                draw.line((middle, top, middle, bottom), fill=wall, width=4)
            if rng.random() < 0.3:
                for blind in np.arange(top, (top + bottom) / 2, 7.0):
                    draw.line((left, blind, right, blind), fill=wall, width=2)


def hatching(rng: np.random.Generator, part: PIL.Image.Image) -> None:
    """Bundles of parallel lines, rings and polygons: fences, roofs, wires, leaves."""
    draw, (width, height) = PIL.ImageDraw.Draw(part), part.size
    reach = width + height
    for _ in range(int(rng.integers(3, 9))):
        colour, line = _contrasting(rng, part), int(rng.integers(2, 14))
        step, angle = rng.uniform(2.2, 8.0) * line, rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * reach
        across = np.array([-np.sin(angle), np.cos(angle)]) * step
        start = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        for number in range(int(rng.integers(6, 40))):
            near = start + across * number
            far = near + along * rng.uniform(0.1, 0.4)
            draw.line((*near, *far), fill=colour, width=line)
        for _ in range(int(rng.integers(0, 60))):
            corners = np.array([rng.uniform(0, width), rng.uniform(0, height)]) + rng.normal(
                0, rng.uniform(12, 90), (int(rng.integers(3, 7)), 2)
            )
            shape = [(float(x), float(y)) for x, y in corners]
            draw.polygon(shape, fill=_colour(rng, light=rng.random() < 0.5))


def _in_perspective(rng: np.random.Generator, part: PIL.Image.Image) -> PIL.Image.Image:
    width, height = part.size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    moved = corners + rng.uniform(-0.18, 0.18, (4, 2)) * [width, height]
    change = cv2.getPerspectiveTransform(moved.astype(np.float32), corners)
    warped = cv2.warpPerspective(
        np.asarray(part), change, part.size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
    )
    return PIL.Image.fromarray(warped.astype(np.uint8))


def _weathered(rng: np.random.Generator, picture: Picture) -> Picture:
    """Uneven light and the grain of paper and walls."""
    light = cv2.resize(
        rng.normal(1.0, 0.12, (4, 6)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    grain = rng.normal(0, rng.uniform(0, 5), (HEIGHT, WIDTH, 1))
    return np.clip(picture * light[..., None] + grain, 0, 255).astype(np.uint8)


def _words(rng: np.random.Generator, letters: int) -> str:
    text = "".join(rng.choice(list(string.ascii_lowercase + "eeaio     "), letters))
    return text.title() if rng.random() < 0.3 else text


def _font(rng: np.random.Generator, size: int) -> PIL.ImageFont.FreeTypeFont:
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return PIL.ImageFont.truetype(folder / f"{FONTS[int(rng.integers(len(FONTS)))]}.ttf", size)


def _colour(rng: np.random.Generator, *, light: bool) -> Colour:
    grey = rng.integers(140, 256) if light else rng.integers(0, 120)
    tint = rng.normal(0, rng.uniform(2, 35), 3)
    red, green, blue = (int(np.clip(grey + channel, 0, 255)) for channel in tint)
    return red, green, blue


def _contrasting(rng: np.random.Generator, part: PIL.Image.Image) -> Colour:
    """A colour that can be read on the corner of the part."""
    corner = part.getpixel((0, 0))
    assert isinstance(corner, tuple)
    return _colour(rng, light=sum(corner) < 3 * 130)

"""Gather training clips from packages that carry real footage, as lossless video files.

    python benchmarks/train/gather.py DOWNLOADS CLIPS OUT

DOWNLOADS is an empty folder for the packages, CLIPS a folder of more clips of your own (they are
reduced to about 360 rows, where most footage is sharp), OUT receives one FFV1 file for each clip
and `licences.json`. Sources, all fetched by package name:

    moviepy 2.2.1 (source archive)       Big Buck Bunny, CC BY 3.0, Blender Foundation; 360p, 540p
    startbootstrap-coming-soon 6.0.7     aerial clip, package MIT
    plasma-workspace-wallpapers, lomiri-wallpapers-16.04/-20.04, mate-backgrounds
                                         photographs, moved by synthetic camera paths with parallax
    forensics-samples-files              phone clip, CC-BY-SA-4.0
    none                                 posters, drawn by benchmarks/train/posters.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vsrc.benchmarks.train.camera_paths import camera_path
from vsrc.benchmarks.train.posters import poster
from vsrc.runtime.pending_file import open_pending_file

Frame = NDArray[np.uint8]

PHOTOGRAPHS = {  # name -> rows to reduce it to before the camera moves over it, licence
    "EveningGlow": (1200, "GPL-2+"),
    "Path": (1200, "GPL-2+"),
    "ColdRipple": (1200, "GPL-2+"),
    "OneStandsOut": (1200, "GPL-2+"),
    "BytheWater": (1200, "GPL-2+"),
    "ColorfulCups": (1200, "GPL-2+"),
    "FallenLeaf": (1200, "GPL-2+"),
    "summer_1am": (1200, "GPL-2+"),
    "Autumn": (1200, "GPL-2+"),
    "Volna": (1440, "GPL-2+"),
    "life_by_Aitzol_Berasategi": (1200, "CC-BY-SA-3.0"),
    "picosdeeuropa_by_Aitzol_Berasategi": (1200, "CC-BY-SA-3.0"),
    "aitzgorri_by_Aitzol_Berasategi": (1200, "CC-BY-SA-3.0"),
    "friends_by_Aitzol_Berasategi": (1000, "CC-BY-SA-3.0"),
    "sunset_by_Aitzol_Berasategi": (1000, "CC-BY-SA-3.0"),
    "Dragonfly_by_Bolly": (1000, "CC-BY-SA-3.0"),
    "seeding_by_Clements_Engelhardt": (1000, "CC-BY-SA-3.0"),
    "Bridge_by_Sander_Klootwijk": (1000, "CC-BY-SA-3.0"),
    "Kleiber_by_Lukas_Baubkus": (1000, "CC-BY-SA-4.0"),
    "Dune": (700, "GPL-2+"),
    "Wood": (700, "GPL-2+"),
    "TwoWings": (700, "GPL-2+"),
    "RainDrops": (700, "GPL-2+"),
    "Blinds": (700, "GPL-2+"),
    "LadyBird": (700, "GPL-2+"),
}
HELD_OUT = (8150, 8730)
"""Frames of the film that hold the scene of the demo's clip: never taught from."""

POSTERS = 40
"""Pictures that are drawn, not photographed."""

DEBIAN = (
    "plasma-workspace-wallpapers",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "forensics-samples-files",
)


def main() -> None:
    """Fetch, cut, reduce, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("downloads", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--film-clips", type=int, default=420, help="clips cut from the film")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    fetch(options.downloads)
    licences = {}
    for name, licence, frames in all_clips(options.downloads, options.clips, options.film_clips):
        write_lossless(options.out / f"{name}.mkv", frames)
        licences[name] = licence
        print(name, flush=True)
    (options.out / "licences.json").write_text(json.dumps(licences, indent=1))


def fetch(folder: Path) -> None:
    """Download and unpack every package into `folder`; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("moviepy-*.tar.gz")):
        _run(folder, sys.executable, "-m", "pip", "download", "-q", "--no-deps",
             "--no-binary", ":all:", "moviepy==2.2.1")  # fmt: skip
    if not list(folder.glob("startbootstrap-*.tgz")):
        _run(folder, "npm", "pack", "--silent", "startbootstrap-coming-soon@6.0.7")
    for package in DEBIAN:
        target = folder / "unpacked" / package
        if not list(folder.glob(f"{package}_*.deb")):
            _run(folder, "apt-get", "download", package)
        if not target.exists():
            (deb,) = folder.glob(f"{package}_*.deb")
            _run(folder, "dpkg-deb", "-x", deb.name, f"unpacked/{package}")
    if not (folder / "bbb.mp4").exists():
        with tarfile.open(next(folder.glob("moviepy-*.tar.gz"))) as archive:
            (member,) = [m for m in archive if m.name.endswith("moviepy_10_minutes.zip")]
            inner = archive.extractfile(member)
            assert inner is not None
            with zipfile.ZipFile(inner) as film:
                (name,) = [n for n in film.namelist() if n.endswith("resources/bbb.mp4")]
                (folder / "bbb.mp4").write_bytes(film.read(name))
    if not (folder / "bg.mp4").exists():
        with tarfile.open(next(folder.glob("startbootstrap-*.tgz"))) as archive:
            inner = archive.extractfile("package/dist/assets/mp4/bg.mp4")
            assert inner is not None
            (folder / "bg.mp4").write_bytes(inner.read())


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True)


def all_clips(
    downloads: Path, more: Path, film_clips: int
) -> Iterator[tuple[str, str, Iterable[Frame]]]:
    """Name, licence and HR frames of every clip, photographs first (the sharpest come first)."""
    found = {p.stem: p for p in downloads.glob("unpacked/**/*.jpg")}
    found |= {
        p.parts[-4]: p
        for p in downloads.glob("unpacked/**/wallpapers/*/contents/images/*.jpg")
        if p.stem in ("2560x1600", "5120x2880")
    }
    for name, (rows, licence) in PHOTOGRAPHS.items():
        picture = cv2.imread(str(found[name]))
        assert picture is not None, found[name]
        rgb = np.ascontiguousarray(reduce_to(picture[..., ::-1].astype(np.uint8), rows))
        for take in range(8):
            yield f"photo_{name}_{take}", licence, camera_path(rgb, seed=take, name=name)
    for number in range(POSTERS):
        drawn = poster(number)
        for take in range(4):
            name = f"poster_{number:02d}"
            yield f"{name}_{take}", "drawn", camera_path(drawn, seed=take, name=name)
    yield "aerial_540", "MIT (package)", reduced(downloads / "bg.mp4", 540)
    (phone,) = downloads.glob("unpacked/forensics-samples-files/**/VID_20191220_170832.mp4")
    yield "phone_540", "CC-BY-SA-4.0", reduced(phone, 540)
    for path in sorted(more.iterdir()):
        yield f"clip_{path.stem}", "see the folder it came from", reduced(path, 360)
    yield from film(downloads / "bbb.mp4", film_clips)


def film(path: Path, count: int) -> Iterator[tuple[str, str, list[Frame]]]:
    """Short clips spread over the whole film, two of three at 360 rows, the others at 540."""
    total, length = 14_315, 9
    starts = {int(s): i for i, s in enumerate(np.linspace(300, total - 1300, count))}
    starts = {s: i for s, i in starts.items() if not HELD_OUT[0] <= s < HELD_OUT[1]}
    clip: list[Frame] = []
    index = -1
    for number, frame in enumerate(decoded(path)):
        if number in starts:
            index, clip = starts[number], []
        if index >= 0 and len(clip) < length:
            clip.append(reduce_to(frame, 540 if index % 3 == 0 else 360))
            if len(clip) == length:
                yield f"film_{index:04d}", "CC-BY-3.0 Blender Foundation", clip


def reduced(path: Path, rows: int) -> Iterator[Frame]:
    """Frames of a video, reduced to at most `rows` rows."""
    return (reduce_to(frame, rows) for frame in decoded(path))


def decoded(path: Path) -> Iterator[Frame]:
    """Frames of a video as RGB."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def reduce_to(picture: Frame, rows: int) -> Frame:
    """Reduce (never enlarge) to `rows` rows by area averaging; both sides become even."""
    height, width = picture.shape[:2]
    if height > rows:
        width = round(width * rows / height)
        picture = cv2.resize(picture, (width, rows), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return picture[: picture.shape[0] // 8 * 8, : picture.shape[1] // 8 * 8]


def write_lossless(path: Path, frames: Iterable[Frame]) -> None:
    """FFV1 in RGB: what is read back is what was written."""
    with (
        open_pending_file(path) as file,
        av.open(file, "w", format="matroska", buffer_size=1 << 20) as container,
    ):
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("ffv1", rate=24)
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "bgr0"
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="bgr0")))
        assert stream is not None, path
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()

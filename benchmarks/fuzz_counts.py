"""Compare the number of frames that damaged videos have for the reader and for ffprobe.

    python benchmarks/fuzz.py --files 504 --seed 1 --keep FOLDER      # makes them
    python benchmarks/fuzz_counts.py FOLDER/damaged [--whole 12] [--all]

Files that are refused, or have as many frames as the good clip, are shown to ffprobe only with
`--all`. ffprobe agrees if it counts as many frames or packets, or no frame of a refused file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError


def main() -> None:
    """Count the frames of each file, and print where ffprobe counts others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--whole", type=int, default=12, help="frames of a good clip")
    parser.add_argument("--all", action="store_true", help="show all files to ffprobe")
    options = parser.parse_args()
    counts = {path: count_frames(path) for path in sorted(options.folder.iterdir())}
    groups: dict[str, dict[Path, int | None]] = {"refused": {}, "whole": {}, "others": {}}
    for path, count in counts.items():
        kind = {None: "refused", options.whole: "whole"}.get(count, "others")
        groups[kind][path] = count
    print(f"{len(counts)} files")
    for kind, group in groups.items():
        is_asked = options.all or kind == "others"
        agreeing = f"; ffprobe agrees on {count_agreeing(group)}" if is_asked else ""
        print(f"{kind}: {len(group)}{agreeing}")


def count_agreeing(counts: dict[Path, int | None]) -> int:
    """Files on which ffprobe agrees; the others are printed."""
    agreeing = 0
    for path, count in counts.items():
        frames, packets = ask_ffprobe(path)
        is_agreed = count in (frames, packets) or (count is None and not frames)
        agreeing += is_agreed
        if not is_agreed:
            print(f"{path.name}: {count}; ffprobe: {frames} frames of {packets} packets")
    return agreeing


def count_frames(path: Path) -> int | None:
    """Frames that `infer` would restore; None where it would refuse the file."""
    try:
        reader = VideoReader(path, is_strict=True, drops_alpha=False)
        count = sum(1 for _ in reader)
        reader.close()
    except MediaError:
        return None
    return count


def ask_ffprobe(path: Path) -> tuple[int, int]:
    """Frames that ffprobe decodes, and packets of the video."""
    words = "-v quiet -select_streams v:0 -count_frames -count_packets -show_streams -of json"
    done = subprocess.run(["ffprobe", *words.split(), path], capture_output=True, check=False)
    shown = json.loads(done.stdout) if done.returncode == 0 else {}
    (stream,) = shown.get("streams", [])[:1] or [{}]
    return int(stream.get("nb_read_frames", 0)), int(stream.get("nb_read_packets", 0))


if __name__ == "__main__":
    main()

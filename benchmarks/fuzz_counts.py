"""Compare the number of frames that damaged videos have for the reader and for ffprobe.

    python benchmarks/fuzz.py --files 504 --seed 1 --keep FOLDER      # makes them
    python benchmarks/fuzz_counts.py FOLDER/damaged [--whole 12]

Files that have as many frames as the good clip are counted, and not shown to ffprobe.
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
    options = parser.parse_args()
    counts = {path: count_frames(path) for path in sorted(options.folder.iterdir())}
    others = {path: count for path, count in counts.items() if count not in (None, options.whole)}
    print(f"{len(counts)} files: {sum(count is None for count in counts.values())} refused,")
    print(f"{sum(count == options.whole for count in counts.values())} whole, {len(others)} others")
    agreeing = 0
    for path, count in others.items():
        frames, packets = ask_ffprobe(path)
        agreeing += count in (frames, packets)
        if count not in (frames, packets):
            print(f"{path.name}: {count}; ffprobe: {frames} frames of {packets} packets")
    print(f"as many frames or packets for ffprobe: {agreeing} of {len(others)}")


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
    (stream,) = json.loads(done.stdout or "{}").get("streams", [{}])[:1] or [{}]
    return int(stream.get("nb_read_frames", 0)), int(stream.get("nb_read_packets", 0))


if __name__ == "__main__":
    main()

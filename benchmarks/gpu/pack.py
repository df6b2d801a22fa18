"""Pack training clips into files small enough to be carried to a GPU in pieces.

    python benchmarks/gpu/pack.py CLIPS OUT [--piece-mib 56] [--pieces 3] [--crf 19]

Every video of CLIPS becomes H.264 in 4:4:4, which OpenCV reads where PyAV is not installed. They go
into OUT/piece0, OUT/piece1, ... in the order of their names' hash, so that each piece is a fair
sample, until the pieces are full; what does not fit is named. Clips of evaluation sets do not
belong here.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import av

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--piece-mib", type=int, default=56)
    parser.add_argument("--pieces", type=int, default=3)
    parser.add_argument("--crf", type=int, default=19)
    options = parser.parse_args()
    limit, used, frames, left_out = options.piece_mib * MIB, [0] * options.pieces, 0, []
    for clip in sorted(options.clips.iterdir(), key=_shuffled):
        piece = used.index(min(used))
        target = options.out / f"piece{piece}" / f"{clip.stem}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        count = _encode(clip, target, crf=options.crf)
        size = target.stat().st_size
        if used[piece] + size > limit:
            target.unlink()
            left_out.append(clip.name)
            continue
        used[piece] += size
        frames += count
    sizes = ", ".join(f"{size / MIB:.1f}" for size in used)
    print(f"{frames} frames in {options.pieces} pieces of {sizes} MiB; {len(left_out)} left out")
    print("\n".join(left_out))


def _shuffled(path: Path) -> str:
    return hashlib.sha256(path.name.encode()).hexdigest()


def _encode(clip: Path, target: Path, *, crf: int) -> int:
    """Write the frames of a clip; returns their number."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as container:
        video = source.streams.video[0]
        video.thread_type = "AUTO"
        stream = container.add_stream(
            "libx264", rate=video.average_rate, options={"crf": str(crf), "preset": "medium"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv444p"
        count = 0
        for frame in source.decode(video):
            count += 1
            frame.pts = None
            container.mux(stream.encode(frame.reformat(format="yuv444p")))
        container.mux(stream.encode())
    return count


if __name__ == "__main__":
    main()

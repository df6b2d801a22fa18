"""Damaged videos through `vsrc infer`: nothing may crash, hang or leak, and each gets its word.

    python benchmarks/fuzz.py [--files 500] [--seed 0] [--lanes 1] [--keep FOLDER] [--json FILE]

Good clips of 12 frames, one for each pair of container and codec, are made with ffmpeg and damaged.
Processes of their own take many files each, so that what one file leaves behind shows. All that
lies in tests/support/fuzzing, as tests need it too: campaign.py, clips.py, damage.py,
worker.py and, for the verdict, supervisor.py. A file is a failure if

    crash      the process died, or an exception came out that is no error of vsrc's
    hang       it took longer than LIMIT_SECONDS
    silent     neither status 0 with the line of the result, nor status 1 with a line "vsrc: ..."
    left over  the status is not 0, but an output is there
    count      only video packets were damaged, yet the number of frames changed
    leak       run again and again, the process grows by more than 1 MB each time
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # tests share the fuzzer
from support.fuzzing.campaign import run
from support.fuzzing.clips import make_seeds


def main() -> None:
    """Make the files, run them, report."""
    options = parsed()
    with folder_of(options.keep) as folder:
        seeds = make_seeds(folder / "seeds", options.seeds.split(",") if options.seeds else None)
        report = run(seeds, folder, files=options.files, seed=options.seed, lanes=options.lanes)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["failures"] else 0)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=1, help="processes at a time")
    parser.add_argument("--seeds", help="only these clips, with commas")
    parser.add_argument("--keep", type=Path, help="leave the files here")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """A folder for the files."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="vsrc-fuzz.") as name:
        yield Path(name)


if __name__ == "__main__":
    main()

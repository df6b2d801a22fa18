"""A command line that works for each command, for messages about a missing or unknown word."""

from __future__ import annotations

EXAMPLES = {
    "bench": "vsrc bench edge-s --shape 180x320",
    "calibrate": "vsrc calibrate student.vsrc low_resolution/",
    "compare": "vsrc compare holiday.mp4 holiday-x4.mp4 -o compare.html",
    "completion": "vsrc completion bash",
    "data": "vsrc data check clips/",
    "distill": "vsrc distill --student edge-s --objective none --data clips/ -o student.vsrc",
    "eval": "vsrc eval edge-s --data clips/",
    "export": "vsrc export student.vsrc --precision fp16",
    "infer": "vsrc infer holiday.mp4 -o holiday-x4.mp4",
    "inspect": "vsrc inspect edge-s",
    "pack": "vsrc pack rlfn_x4.pth -o rlfn.vsrc",
    "preview": "vsrc preview holiday.mp4",
    "shard": "vsrc shard --data clips/ --crops 50000 -o shards",
    "split": "vsrc split student.vsrc --width 0.5 -o half.vsrc",
}
"""Name of a command that needs arguments -> how it is typed."""

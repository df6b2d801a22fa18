"""FFmpeg's names of muxers that have something in common."""

from __future__ import annotations

MOV_FAMILY = frozenset(("3g2", "3gp", "ipod", "mov", "mp4"))
"""Containers of FFmpeg's MOV muxer; "ipod" is its name of .m4v."""

WITHOUT_STAMPS = frozenset(("avi", "mxf"))
"""Containers that store no time stamps: packets of a track are played one after the other."""

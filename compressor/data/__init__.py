"""Clips to teach with: layouts, a decoded cache, degradations, random crops."""

from vsrc.compressor.data.dataset import Batch as Batch
from vsrc.compressor.data.dataset import ClipDataset as ClipDataset
from vsrc.compressor.data.dataset import collate as collate
from vsrc.compressor.data.holdout import split as split
from vsrc.compressor.data.holdout import validation_clips as validation_clips
from vsrc.compressor.data.ingest import open_library as open_library
from vsrc.compressor.data.library import ClipLibrary as ClipLibrary

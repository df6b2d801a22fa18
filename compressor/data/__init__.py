"""Training clips: layouts, a cache of decoded frames, degradations, random crops."""

from vsrc.compressor.data.dataset import ClipBatch as ClipBatch
from vsrc.compressor.data.dataset import ClipDataset as ClipDataset
from vsrc.compressor.data.dataset import collate as collate
from vsrc.compressor.data.holdout import split_holdout as split_holdout
from vsrc.compressor.data.holdout import validation_clips as validation_clips
from vsrc.compressor.data.ingest import open_library as open_library
from vsrc.compressor.data.library import ClipLibrary as ClipLibrary

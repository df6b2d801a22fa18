"""Training objectives: one file each, looked up by name in a table."""

from vsrc.compressor.objectives.table import create as create
from vsrc.compressor.objectives.table import names as names

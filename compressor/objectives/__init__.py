"""What a student learns from its teacher: one file for each objective, found by name in a table."""

from vsrc.compressor.objectives.table import create as create
from vsrc.compressor.objectives.table import names as names

"""Teachers and students: one file each, looked up by name in a table."""

from vsrc.compressor.networks.loading.weights import load_weights as load_weights
from vsrc.compressor.networks.table import create as create
from vsrc.compressor.networks.table import names as names

"""Packages of networks that come as a checkpoint, as code or as a graph of another program."""

"""Engines of TensorRT on CUDA devices: files, memory, streams, captured work."""

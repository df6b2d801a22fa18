"""Checkpoint to ONNX, typed graphs, engines, and the checks that they agree."""

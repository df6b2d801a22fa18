"""Backends that run a graph: ONNX Runtime and TensorRT, and functions that open sessions."""

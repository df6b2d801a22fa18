"""All that runs a graph: ONNX Runtime, TensorRT, and the opener of sessions."""

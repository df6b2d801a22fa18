"""Building of TensorRT engines from graphs."""

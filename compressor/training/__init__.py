"""The training loop: batches, steps, schedule, checkpoints, int8-aware training."""

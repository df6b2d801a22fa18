"""What a student is taught besides the ground truth: one file for each objective."""

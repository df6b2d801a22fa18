"""What a file or a machine is: inspect and doctor."""

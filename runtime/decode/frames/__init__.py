"""What decoded frames carry beside their picture, and what is done to them before the network."""

"""What a device says of itself: name, clocks, temperature, power, memory."""

"""Read device sensors: name, clocks, temperature, power, memory."""

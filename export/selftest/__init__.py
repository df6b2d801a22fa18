"""The self-test of a device (`vsrc selftest`): each step in its own process, with evidence."""

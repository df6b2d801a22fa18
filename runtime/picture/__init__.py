"""One picture: its colours, its size, and how much it is like another."""

"""How good pictures are: metrics, eval and compare."""

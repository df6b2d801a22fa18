"""The jobs of `vsrc infer`: split inputs into units, run, stop and resume them."""

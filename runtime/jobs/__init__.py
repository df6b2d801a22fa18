"""The jobs of infer: what is asked, cut in units, run, stopped and resumed."""

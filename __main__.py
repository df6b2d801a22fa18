"""`python -m vsrc`: the same as the command `vsrc`.

`-m` puts the working directory in front of all that is imported, where a `json.py` would be taken
for Python's. It is removed before vsrc imports anything else; by then Python has imported a few
modules of its own, so in a folder that is not yours use `vsrc`, or `python -P -m vsrc` (3.11+).
"""

import os
import sys

if __name__ == "__main__":
    if sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109  pathlib is not loaded yet
        del sys.path[0]

    from vsrc.cli import main

    main()

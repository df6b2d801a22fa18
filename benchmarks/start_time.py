"""CPU time of `vsrc --help` beside that of importing click, which it cannot do without.

    python benchmarks/start_time.py [--rounds 20]

Fresh processes in turn; user and system time of each, the least of the rounds. Modules are
compiled before.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess

from vsrc.runtime.machine import this_machine
from vsrc.runtime.processes.child_process import prepare_child

LIMIT = 2.0
COMMANDS = {
    "python -c pass": "pass",
    "python -c 'import click'": "import click",
    "vsrc --help": "import sys; sys.argv[1:] = ['--help']; from vsrc.cli import main; main()",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for at in range(options.rounds + 1):
        for name, code in COMMANDS.items():
            seconds = cpu_seconds(code)
            if at:  # the first compiles
                took[name].append(seconds)
    print(f"{this_machine().cpu}, busy with other work, {options.rounds} rounds in turn\n")
    print("| | CPU time, ms: least (median) |\n|---|---:|")
    for name, each in took.items():
        print(f"| `{name}` | {min(each) * 1000:.1f} ({statistics.median(each) * 1000:.1f}) |")
    ratio = min(took["vsrc --help"]) / min(took["python -c 'import click'"])
    print(f"\n`vsrc --help` takes {ratio:.2f} of the time of `import click` (at most {LIMIT}).")


def cpu_seconds(code: str) -> float:
    """User and system time of a fresh process."""
    child = prepare_child(code)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        child.command, env=child.environment, stdout=subprocess.DEVNULL, check=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

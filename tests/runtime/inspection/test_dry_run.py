from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vsrc.runtime.inspection.dry_run import DryRun, try_commands
from vsrc.runtime.installation import Command

INSTALLER = """
import sys
packages = sys.argv[1:]
print(*packages, file=open({log!r}, "a"))
if "absent" in packages:
    print("ERROR: Could not find a version", file=sys.stderr)
    print("ERROR: No matching distribution found for absent", file=sys.stderr)
    print("a hint", file=sys.stderr)
    sys.exit(1)
"""


def installer(folder: Path) -> tuple[tuple[str, ...], Path]:
    """A program that knows every package but `absent`, and the file that it logs to."""
    log = folder / "log"
    (folder / "installer.py").write_text(INSTALLER.format(log=str(log)))
    return (sys.executable, str(folder / "installer.py")), log


def says(words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; sys.exit({words!r})")


def test_what_can_be_installed_is_asked_for_once(tmp_path: Path) -> None:
    program, log = installer(tmp_path)
    commands = [Command("one", program, ("a", "b")), Command("two", program, ("b", "c"))]
    assert try_commands(commands, seconds=60) == dict.fromkeys(("one", "two"), DryRun("possible"))
    assert log.read_text() == "a b c\n"


def test_only_the_line_with_what_is_absent_is_impossible(tmp_path: Path) -> None:
    program, _ = installer(tmp_path)
    commands = [Command("one", program, ("a",)), Command("two", program, ("b", "absent"))]
    assert try_commands(commands, seconds=60) == {
        "one": DryRun("possible"),
        "two": DryRun("impossible", "No matching distribution found for absent"),
    }


def test_a_package_that_takes_too_long_leaves_the_others_their_answer(tmp_path: Path) -> None:
    program = tmp_path / "slow_for_torch.py"
    # Until its time is over, which `try_commands` decides.
    program.write_text("import signal, sys\nif 'torch' in sys.argv: signal.pause()\n")
    pip = (sys.executable, str(program))
    commands = [Command("heavy", pip, ("torch",)), Command("light", pip, ("jinja2",))]
    outcomes = try_commands(commands, seconds=20)
    assert outcomes["light"] == DryRun("possible")
    assert outcomes["heavy"].state == "unknown"


@pytest.mark.parametrize(
    ("dry_run", "reason"),
    [
        ((), "no dry run exists"),
        (("/no/such/program",), "No such file"),
        (says("WARNING: Retrying (Retry(total=0)) after connection broken"), "gave no answer"),
        (says("no such option: --dry-run"), "older than 22.2"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "took too long"),
    ],
)
def test_what_could_not_be_tried_is_neither_possible_nor_impossible(
    dry_run: tuple[str, ...], reason: str
) -> None:
    found = try_commands([Command("line", dry_run)], seconds=2)["line"]
    assert found.state == "unknown"
    assert reason in found.said

"""`vsrc bench --profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo
from vsrc.runtime.latency.profile.config import ProfileConfig, parse_sizes
from vsrc.runtime.text.quoting import quoted

if TYPE_CHECKING:
    from vsrc.runtime.latency.profile.config import ProfileProgress


SECONDS_A_SIZE = ProfileConfig.seconds * ProfileConfig.rounds


def profile_config(
    shapes: tuple[tuple[int, int], ...],
    sizes: str | None,
    options: dict[str, Any],
) -> ProfileConfig:
    """Build the profile configuration from options of `vsrc bench`."""
    seconds = options["seconds"]
    return ProfileConfig(
        sizes=parse_sizes(sizes) if sizes else ProfileConfig.sizes,
        shapes=shapes,
        backend=options["backend"],
        precision="fp32" if options["precision"] == "auto" else options["precision"],
        threads=options["threads"],
        device=options["device"],
        seconds=(SECONDS_A_SIZE if seconds is None else seconds) / ProfileConfig.rounds,
    )


def run_profile(config: ProfileConfig, path: Path, *, overwrite: bool) -> None:
    """Measure, write the profile to `path` and print it as a table."""
    from vsrc.export.profiles.latency_profile import profile_family
    from vsrc.runtime.latency.profile.text import profile_text
    from vsrc.runtime.output_guard import (
        check_outputs,
        check_place,
        hash_job,
        mark_report,
        report_output,
    )

    job = hash_job("bench --profile", config)
    check_outputs([report_output(path, "--profile", job=job)], overwrite=overwrite)
    check_place(path)
    with StatusLine() as status:
        profile = profile_family(config, progress=lambda now: status(*_words(now)))
    profile.write(path)
    mark_report(path, job)
    echo(profile_text(quoted(profile)))


def _words(now: ProfileProgress) -> tuple[str, str]:
    if now.stage == "graphs":
        return "writing graphs:", f"{now.done + 1} of {now.total}, {now.what}"
    if now.stage == "machine":
        return "measuring the machine", ""
    return "timing graphs:", f"{now.done} of {now.total}"

"""`vsrc selftest`."""

from __future__ import annotations

from pathlib import Path

import click

from vsrc.commands.options.device_argument import device_option
from vsrc.commands.options.sample_input import OutputPath
from vsrc.commands.progress.status_line import StatusLine
from vsrc.export.selftest.result import SelftestConfig


@click.command("selftest")
@click.option("--quick", is_flag=True, help="Run only the steps that need no GPU.")
@click.option(
    "-o",
    "--out",
    type=OutputPath(file_okay=False),
    default=SelftestConfig.out,
    show_default=True,
    help="Folder for the page, JSON and raw evidence.",
)
@device_option
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Also write the JSON here; - for stdout.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that no self-test wrote.")
def selftest_command(
    quick: bool, out: Path, device: int, json_file: Path | None, overwrite: bool
) -> None:
    """Test everything vsrc does on a GPU or a Jetson.

    Each step runs in a process of its own. The evidence holds no names of host or user and no
    serial numbers.
    """
    from vsrc.export.selftest.result import report_json, report_lines
    from vsrc.export.selftest.running import PAGE_FILE, REPORT_FILE, STEPS, selftest
    from vsrc.export.selftest.verdict import check_report, record_result, verdict_badge
    from vsrc.runtime.installation import missing_text
    from vsrc.runtime.output_guard import check_place
    from vsrc.runtime.pending_file import write_file

    if json_file is not None and str(json_file) != "-":
        check_place(json_file)
    with StatusLine() as status:
        config = SelftestConfig(out, quick, device, json_file=json_file, overwrite=overwrite)
        report = selftest(config, progress=status)
    if str(json_file) == "-":
        click.echo(report_json(report), nl=False)
    else:
        result = verdict_badge(report, planned=len(STEPS)).text
        click.echo("\n".join([*report_lines(report), result]))
    if json_file is not None and str(json_file) != "-":
        write_file(json_file, report_json(report))
    record_result(report, device)
    if (out / PAGE_FILE).exists():
        click.echo(f"evidence: {out / PAGE_FILE}", err=True)
    else:
        click.echo(
            f"evidence: {out / REPORT_FILE}; a page needs {missing_text('jinja2')}", err=True
        )
    check_report(report, out)

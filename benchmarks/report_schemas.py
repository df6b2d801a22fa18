"""Write the JSON Schemas of the reports, and their tables in docs/bench.md, from the dataclasses.

`make schemas` runs it; with --check it writes nothing and fails if a file differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from vsrc.runtime.jobs import job_report
from vsrc.runtime.json_schema import Schema, report_schema, schema_rows
from vsrc.runtime.latency import report
from vsrc.runtime.latency.profile import latency_profile

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "runtime" / "assets"
DOCUMENT = ROOT / "docs" / "bench.md"

_MAY_GROW = "Readers skip what they do not know: fields may be added without a new schema_version."
_ELSEWHERE = {"infer-report": frozenset({"device", "machine", "latency_ms"})}
"""Report -> fields that the table of `vsrc bench` describes."""


def schemas() -> dict[str, Schema]:
    """Name of a report -> its schema."""
    return {
        "bench-report": report_schema(
            report.BenchReport,
            name=report.KIND,
            report="bench-report",
            version=report.SCHEMA_VERSION,
            description=f"What one run of vsrc bench measured. {_MAY_GROW}",
        ),
        "infer-report": report_schema(
            job_report.JobReport,
            name=job_report.KIND,
            report="infer-report",
            version=job_report.SCHEMA_VERSION,
            description=f"What one run of vsrc infer took. {_MAY_GROW}",
        ),
        "latency-profile": report_schema(
            latency_profile.LatencyProfile,
            name=latency_profile.KIND,
            report="latency-profile",
            version=latency_profile.SCHEMA_VERSION,
            description=(
                "What vsrc bench --profile measured: the latency of sizes of the edge family on "
                f"one device. {_MAY_GROW}"
            ),
        ),
    }


def generated() -> dict[Path, str]:
    """Each file that is written from the dataclasses -> what must stand in it."""
    found = schemas()
    document = DOCUMENT.read_text(encoding="utf-8")
    for name, schema in found.items():
        document = _with_table(document, schema, name=name)
    texts = {
        ASSETS / f"{name}.schema.json": json.dumps(schema, indent=2) + "\n"
        for name, schema in found.items()
    }
    return {**texts, DOCUMENT: document}


def _with_table(document: str, schema: Schema, *, name: str) -> str:
    """The document with the rows of the table that follows the name of a schema."""
    rows = schema_rows(schema, elsewhere=_ELSEWHERE.get(name, frozenset()))
    before, mark, after = document.partition(f"assets/{name}.schema.json")
    prose, rule, table = after.partition("|---|---|\n")
    _, end, rest = table.partition("\n\n")
    return "".join((before, mark, prose, rule, "\n".join(rows), end or "\n", rest))


def main() -> None:
    """Write what differs, or name it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    texts = generated()
    outdated = [path for path in texts if path.read_text(encoding="utf-8") != texts[path]]
    if check and outdated:
        sys.exit(f"run make schemas: {', '.join(path.name for path in outdated)} differ")
    for path in outdated:
        path.write_text(texts[path], encoding="utf-8")


if __name__ == "__main__":
    main()

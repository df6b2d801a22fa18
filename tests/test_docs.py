"""Documents say what works: their commands parse, their Python runs, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from support.optional import skip_without
from support.places import PACKAGE, TESTS, find_in_checkout
from vsrc.cli import main
from vsrc.compressor.training.config import OBJECTIVE_NAMES
from vsrc.runtime.sample import SAMPLE_CLIP

README = find_in_checkout("README.md")
DOCS = find_in_checkout("docs")
MKDOCS = find_in_checkout("mkdocs.yml")
PAGES = [README, *sorted(DOCS.glob("*.md"))]
COMMAND = re.compile(r"^(?: {4})?(?:[A-Z_]+=\S+ )*(?:.*[|&(] *)?(vsrc .*)$")


def commands(page: Path) -> Iterator[list[str]]:
    """Each `vsrc ...` of the indented and fenced blocks, as a shell would split it."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    indented = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    for line in f"{fenced}\n{indented}".splitlines():
        found = COMMAND.match(line)
        if found is None or line.strip().startswith(("#", '"', "usage")):
            continue
        for part in re.split(r" (?:\||&&|;) ", found.group(1)):
            words = shlex.split(part, comments=True)
            if words[:1] == ["vsrc"] and len(words) > 1:
                yield words[1:]


def parse(words: list[str]) -> None:
    """Have click judge options and choices, without running or opening anything."""
    command: click.Command = main
    # A command keeps the names of its help option from its first context: give it its parent's.
    context = click.Context(main, info_name="vsrc", **main.context_settings)
    while isinstance(command, click.Group):
        while words and words[0].startswith("-"):
            words = words[1:]
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context)
    values, _, _ = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_these_options(page: Path) -> None:
    for words in commands(page):
        wanted = [word for word in words if word not in ("...", "…")]
        try:
            parse(wanted)
        except click.UsageError as error:
            pytest.fail(f"{page.name}: vsrc {' '.join(words)}: {error.format_message()}")


def test_commands_are_found_at_all() -> None:
    assert len(list(commands(README))) > 15
    with pytest.raises(click.UsageError):
        parse(["infer", "a.mp4", "--no-such-option"])
    with pytest.raises(click.UsageError):
        parse(["export", "a.vsrc", "--format", "tflite"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.fixture
def folder_with_a_clip(tmp_path: Path) -> Path:
    """Twelve frames of the sample clip, small, as `holiday.mp4`."""
    import av

    with av.open(str(SAMPLE_CLIP)) as source, av.open(str(tmp_path / "holiday.mp4"), "w") as target:
        stream = target.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index, frame in enumerate(source.decode(video=0)):
            if index == 12:
                break
            small = frame.reformat(width=160, height=96, format="yuv420p")
            small.pts = index
            target.mux(stream.encode(small))
        target.mux(stream.encode(None))
    return tmp_path


def run_script(script: str, folder: Path) -> None:
    """Run the lines of a document in a folder, as typed; the first that fails is an error."""
    bash = shutil.which("bash")
    assert bash is not None
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "-euxc", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_getting_started_can_be_followed(folder_with_a_clip: Path) -> None:
    text = (DOCS / "getting-started.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    run_script(script, folder_with_a_clip)
    for name in ("holiday-x4.mp4", "compare.html", "student.vsrc", "mine.mp4", "report.html"):
        assert (folder_with_a_clip / name).exists()


def python_blocks() -> list[tuple[str, str]]:
    """Name of the page and text of each fenced block of Python."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
            found.append((f"{page.stem}-{number}", block))
    return found


@pytest.mark.parametrize(("name", "block"), python_blocks(), ids=[n for n, _ in python_blocks()])
def test_python_runs(
    name: str, block: str, folder_with_a_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_with_a_clip)
    exec(compile(block, name, "exec"), {"__name__": name})


def texts_of_the_code() -> str:
    """All strings of the package, a line each; values inside of them are one NUL."""
    lines = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if {"tests", "benchmarks", ".venv", "build"} & set(path.relative_to(PACKAGE).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = node.values
                lines.append(
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "\0"
                        for part in parts
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines.append(node.value)
    return "\n".join(lines)


def test_troubleshooting_lists_messages_that_exist() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", page, re.MULTILINE)
    messages = [words for row in rows for words in re.findall(r"`([^`]+)`", row)]
    assert len(messages) > 30
    known = texts_of_the_code()
    parts = [part.strip() for message in messages for part in message.split("...")]
    assert [part for part in parts if part and part not in known] == []


def test_threat_model_names_tests_that_exist() -> None:
    page = (DOCS / "threat-model.md").read_text(encoding="utf-8")
    cells = [line.rstrip("| ").rpartition("|")[2] for line in page.splitlines() if "test_" in line]
    folder, names = Path(), []
    for cell in cells:
        for name in re.findall(r"`([\w/.]+\.py)`", cell):
            place = TESTS.parent / name if name.startswith("tests/") else folder / name
            folder = place.parent
            names.append(place)
    assert len(names) > 15
    assert [str(name) for name in names if not name.is_file()] == []


def test_both_tables_of_objectives_have_a_row_for_each() -> None:
    text = (DOCS / "distillation.md").read_text(encoding="utf-8")
    tables = re.findall(
        r"^\| objective \| (?:what|loss).*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE
    )
    names = [sorted(re.findall(r"^\| `([\w-]+)` \|", rows, re.MULTILINE)) for rows in tables]
    assert names == [sorted(OBJECTIVE_NAMES)] * 2


def test_the_table_of_losses_says_which_distance_to_hr_each_objective_has() -> None:
    skip_without("torch")
    from vsrc.compressor.objectives.table import OBJECTIVES

    text = (DOCS / "distillation.md").read_text(encoding="utf-8")
    losses = text[text.index("| objective | loss |") :]
    for name, kind in OBJECTIVES.items():
        is_charbonnier = "charbonnier(" in inspect.getsource(kind)
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", losses, re.MULTILINE)
        assert ("Charbonnier(SR, HR)" in row) == is_charbonnier, name
        assert ("L1(SR, HR)" in row) == (not is_charbonnier), name


def test_settings_page_is_made_from_the_code() -> None:
    skip_without("torch")
    find_in_checkout("benchmarks/settings_page.py")
    code = "from vsrc.benchmarks.settings_page import settings_page as s; print(s(), end='')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (DOCS / "settings.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1800)  # eleven commands, one of which trains
def test_readme_can_be_followed(folder_with_a_clip: Path) -> None:
    (folder_with_a_clip / "holiday.mp4").rename(folder_with_a_clip / "YOUR_VIDEO.mp4")
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    script = "\n".join(line for line in lines if not line.startswith("pip install"))
    run_script(script, folder_with_a_clip)
    for name in (
        "sample-x4.mp4",
        "preview.html",
        "YOUR_VIDEO-x4.mp4",
        "compare.html",
        "mine-x4.mp4",
    ):
        assert (folder_with_a_clip / name).exists(), name
    graphs = folder_with_a_clip / "student.vsrc" / "graphs"
    assert {file.stem for file in graphs.iterdir()} == {"fp32", "fp16", "int8-cpu"}


PUBLIC = {
    "vsrc.runtime": (),  # all of __all__
    "vsrc.calibration": (),
    "vsrc.export": (),
    "vsrc.compressor.networks": ("create", "load_weights", "names"),
    "vsrc.compressor.objectives": ("create",),
    "vsrc.compressor.distill": ("distill", "DistillConfig"),
}


def test_every_public_name_has_an_entry_in_the_api_reference() -> None:
    skip_without("torch", "accelerate", "tensorboard")
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    documented = []
    for entry in re.findall(r"^::: (\S+)$", page, re.MULTILINE):
        module, _, name = entry.rpartition(".")
        if not (module.endswith("runtime") and name == "errors"):
            documented.append(getattr(importlib.import_module(module), name))
    for room, names in PUBLIC.items():
        module = importlib.import_module(room)
        for name in names or module.__all__:
            value = getattr(module, name)
            assert any(value is other for other in documented), f"{room}.{name}"


def test_site_lists_every_page() -> None:
    listed = set(re.findall(r": (\S+\.md)$", MKDOCS.read_text(encoding="utf-8"), re.MULTILINE))
    notebooks = {path.with_suffix(".md").name for path in DOCS.glob("*.ipynb")}  # made pages
    assert listed == {path.name for path in DOCS.glob("*.md")} | notebooks


@pytest.mark.slow
def test_tutorial_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without("torch", "accelerate", "onnxscript", "jinja2")
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "tutorial"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert names["page"].frames == 12
    assert (tmp_path / "tutorial" / "compare.html").is_file()
    assert names["student"].name == "student.vsrc"


def test_no_heading_begins_with_a_number() -> None:
    """Its anchor would, too, and no selector may: the scripts of the site's theme end there."""
    cells = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = {"tutorial.ipynb": "\n".join("".join(cell["source"]) for cell in cells)}
    texts |= {page.name: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")}
    found = {name: re.findall(r"^#+ (\d.*)$", text, re.MULTILINE) for name, text in texts.items()}
    assert {name: headings for name, headings in found.items() if headings} == {}


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_of_the_site_stay_inside_of_it(page: Path) -> None:
    links = re.findall(r"\]\((\.\./[^)]*)\)", page.read_text(encoding="utf-8"))
    assert links == [], "mkdocs build --strict refuses them"

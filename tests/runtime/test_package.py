"""Packages are untrusted input: what does not fit is refused with a line that says why."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vsrc.runtime.errors import OutputError, SpecError
from vsrc.runtime.package import (
    SPEC_FILE,
    SPEC_LIMIT_BYTES,
    advised_export,
    describe_file,
    inside,
    new_folder,
    open_package,
    write_spec,
)
from vsrc.runtime.spec import ModelSpec, NetworkSpec, Provenance, Quality

NETWORK = NetworkSpec(
    name="edge-s",
    arguments={"scale": 4, "window": 5},
    scale=4,
    window=5,
    halo=7,
    parameters=40_136,
    gmac_per_lr_pixel=4.1e-5,
    stages=("fusion", "body.0"),
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "student.vsrc"
    with new_folder(path, overwrite=False) as folder:
        (folder / "weights.safetensors").write_bytes(b"weights")
        spec = ModelSpec(
            network=NETWORK,
            weights=describe_file(folder, "weights.safetensors"),
            degradation="bi",
            provenance=Provenance(data=("a", "b"), versions={"torch": "2"}),
            quality=(Quality(data="x", metric="psnr", protocol="y", value=30.5),),
        )
        write_spec(folder, spec)
    return path


def edit(package: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = package / SPEC_FILE
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_what_was_written_is_read_back(package: Path) -> None:
    opened = open_package(package)
    assert opened.spec.network == NETWORK
    assert opened.spec.quality[0].value == 30.5
    assert opened.weights().read_bytes() == b"weights"


def test_a_changed_byte_is_refused(package: Path) -> None:
    (package / "weights.safetensors").write_bytes(b"Weights")
    with pytest.raises(SpecError, match="sha256"):
        open_package(package).weights()


def test_a_swollen_file_is_refused_by_its_size(package: Path) -> None:
    with (package / "weights.safetensors").open("ab") as file:
        file.write(b"!")
    with pytest.raises(SpecError, match=r"8 bytes, .* 7"):
        open_package(package).weights()


def test_a_newer_version_is_refused(package: Path) -> None:
    edit(package, lambda data: data.update(schema_version=99))
    with pytest.raises(SpecError, match=r"version 99 .* 1, "):
        open_package(package)


def test_an_unknown_or_missing_key_is_named(package: Path) -> None:
    edit(package, lambda data: data.update(surprise=1))
    with pytest.raises(SpecError, match="'surprise'"):
        open_package(package)
    edit(package, lambda data: (data.pop("surprise"), data.pop("degradation")))
    with pytest.raises(SpecError, match="'degradation'"):
        open_package(package)


@pytest.mark.parametrize(
    "name",
    ["../w", "/etc/passwd", "a/../../w", "C:\\w", "a\\..\\w", "", "a\0b"],
)
def test_a_name_that_leads_out_is_refused(package: Path, name: str) -> None:
    def point_elsewhere(data: dict[str, object]) -> None:
        weights = data["weights"]
        assert isinstance(weights, dict)
        weights["file"] = name

    edit(package, point_elsewhere)
    with pytest.raises(SpecError, match=re.escape(repr(name))):
        open_package(package)


def test_a_link_that_leads_out_is_refused(package: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (package / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(SpecError, match="through a link"):
        inside(package, "link")


def test_a_huge_spec_is_not_read(package: Path) -> None:
    with (package / SPEC_FILE).open("ab") as file:
        file.truncate(SPEC_LIMIT_BYTES + 1)
    with pytest.raises(SpecError, match="at most"):
        open_package(package)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"model\.json: .*JSON"),
        (b"[]", "schema_version"),
        (b"\xff\xfe", r"model\.json .*utf-8"),
    ],
)
def test_a_spec_that_is_no_spec_is_refused(package: Path, content: bytes, message: str) -> None:
    (package / SPEC_FILE).write_bytes(content)
    with pytest.raises(SpecError, match=message):
        open_package(package)


def test_deeply_nested_json_is_refused(package: Path) -> None:
    (package / SPEC_FILE).write_text("[" * 100_000)
    with pytest.raises(SpecError, match=r"model\.json: .*JSON"):
        open_package(package)


def test_places_without_a_package_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.vsrc "):
        open_package(tmp_path / "none.vsrc")
    with pytest.raises(SpecError, match=r"model\.json"):
        open_package(tmp_path)


def test_a_missing_graph_says_how_to_write_it(package: Path) -> None:
    with pytest.raises(SpecError, match="vsrc export"):
        open_package(package).graph("fp32")


def test_a_graph_that_nothing_writes_is_told_apart(package: Path) -> None:
    with pytest.raises(SpecError, match=r"fp64 .*fp32, fp16, int8, int8-cpu$"):
        open_package(package).graph("fp64")
    with pytest.raises(SpecError, match=r"--precision fp16 --io float$"):
        open_package(package).graph("fp16-float")


def test_a_failed_write_leaves_nothing_and_keeps_the_old(package: Path) -> None:
    before = sorted(p.name for p in package.parent.iterdir())
    with pytest.raises(RuntimeError), new_folder(package, overwrite=True) as folder:  # noqa: PT012
        (folder / "half").write_text("half")
        raise RuntimeError
    assert sorted(p.name for p in package.parent.iterdir()) == before
    assert open_package(package).weights().is_file()


def test_an_existing_package_needs_overwrite_and_a_foreign_folder_is_left_alone(
    package: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="--overwrite"), new_folder(package, overwrite=False):
        pass
    mine = tmp_path / "photos"
    mine.mkdir()
    with pytest.raises(OutputError, match="not overwritten"), new_folder(mine, overwrite=True):
        pass


@pytest.mark.parametrize("name", ["notes.txt", ".git", "group1-shard1of1.bin"])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_folder_with_files_of_others_is_not_replaced_as_a_package(
    package: Path, tmp_path: Path, name: str, is_link: bool
) -> None:
    (package / name).write_text("kept")
    output = tmp_path / "link.vsrc" if is_link else package
    if is_link:
        output.symlink_to(package)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=name), new_folder(output, overwrite=True):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    (package / name).unlink()
    (package / ".model.json.1234.pending").write_text("of a killed command")
    with new_folder(output, overwrite=True) as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in package.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("network", "permission"), [("edge-s", ""), ("mine:build", " --allow-code")]
)
def test_the_advised_export_has_the_permission_it_needs(
    untrained_package: Path, tmp_path: Path, network: str, permission: str
) -> None:
    path = Path(shutil.copytree(untrained_package, tmp_path / "my own.vsrc"))
    spec = open_package(path).spec
    write_spec(path, replace(spec, network=replace(spec.network, name=network)))
    command = advised_export(path, "--format onnx")
    assert command == f"vsrc export '{path}' --format onnx{permission}"


@pytest.mark.parametrize("name", ["model.json", ".calibration.vsrc-resume", "reports"])
def test_nothing_is_written_through_a_link_out_of_a_package(
    tmp_path: Path, tiny_package: Path, name: str
) -> None:
    from vsrc.calibration.sensitivity import FloatLayers
    from vsrc.calibration.sensitivity_report import write_report
    from vsrc.calibration.unfinished import Unfinished

    package, outside = tmp_path / "a.vsrc", tmp_path / "outside"
    shutil.copytree(tiny_package, package)
    if name == "reports":
        outside.mkdir()
        shutil.rmtree(package / name, ignore_errors=True)
    else:
        shutil.copy(package / "model.json", outside)
        (package / name).unlink(missing_ok=True)
    (package / name).symlink_to(outside)
    before = outside.read_bytes() if outside.is_file() else b""
    write: dict[str, Callable[[], object]] = {
        "model.json": lambda: open_package(package),
        ".calibration.vsrc-resume": lambda: Unfinished(package, ["facts"]).save(1, b"statistics"),
        "reports": lambda: write_report(package, (), FloatLayers((), None)),
    }
    with pytest.raises(SpecError, match="through a link"):
        write[name]()
    assert before == (outside.read_bytes() if outside.is_file() else b"")
    assert outside.is_file() or not any(outside.iterdir())

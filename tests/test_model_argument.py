"""Names of packages that come with vsrc, where a path is expected."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from support.optional import skip_without
from vsrc.cli import main
from vsrc.commands.options.model_argument import MODEL
from vsrc.runtime.errors import SpecError
from vsrc.runtime.package import open_package
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.shipped_models import list_shipped, shipped


def test_a_name_is_the_package_that_ships() -> None:
    assert [MODEL.convert(name, None, None) for name in list_shipped()] == [
        shipped(name) for name in list_shipped()
    ]


def test_what_is_there_goes_before_what_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("edge-s").mkdir()
    assert MODEL.convert("edge-s", None, None) == Path("edge-s")
    assert MODEL.convert("edge-s.vsrc", None, None) == Path("edge-s.vsrc")


def test_the_command_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["inspect", "edge-s"])
    assert done.exit_code == 0
    assert "edge-s x4" in done.output


@pytest.mark.parametrize("verb", ["export", "calibrate"])
def test_a_shipped_package_is_not_written_to(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clips = ["clips"] if verb == "calibrate" else []
    done = CliRunner().invoke(main, [verb, "edge-s", *clips])
    assert done.exit_code == 2
    assert f"vsrc {verb} edge-s -o edge-s.vsrc" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_copy_of_a_shipped_package_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in shipped("edge-s").rglob("*")}
    done = CliRunner().invoke(main, ["export", "edge-s", "-o", "mine.vsrc"])
    assert done.exit_code == 0, done.output
    there, here = (open_package(path).spec for path in (shipped("edge-s"), "mine.vsrc"))
    assert here.weights == there.weights
    assert here.graphs.keys() == there.graphs.keys()
    assert {file: file.stat().st_mtime_ns for file in shipped("edge-s").rglob("*")} == before


def test_a_graph_that_a_shipped_package_lacks_is_advised_for_a_copy() -> None:
    with pytest.raises(SpecError, match=r"vsrc export edvr-xs -o edvr-xs\.vsrc .*--precision fp16"):
        open_package(shipped("edvr-xs")).graph("fp16")


@pytest.mark.parametrize("path", ["none.vsrc", "."])
def test_what_holds_no_package_names_the_ways(path: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"checkpoint.*\.onnx.*module:function.*vsrc pack FILE -o"):
        open_package(tmp_path / path)


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    skip_without("onnx", "onnxruntime")
    from support.foreign import ForeignCase, write_foreign
    from vsrc.export.foreign.form import ForeignForm

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_foreign(tmp_path / "g.onnx", ForeignCase(ForeignForm("image", 1, 1, "rgb", 2)))


def test_a_graph_is_a_model_of_infer_and_packed_once(graph: Path) -> None:
    picture = str(write_picture(Path("in.png")))
    for output in ("one", "two"):
        done = CliRunner().invoke(main, ["infer", picture, "-m", str(graph), "-o", output])
        assert done.exit_code == 0, done.output
    assert Path("one/in.png").read_bytes() == Path("two/in.png").read_bytes()
    (kept,) = Path("cache/vsrc/networks").iterdir()
    assert open_package(kept).spec.network.scale == 2
    told = ["infer", picture, "-m", str(graph), "-o", "three", "--range", "255"]
    assert CliRunner().invoke(main, told).exit_code == 0
    assert len(list(Path("cache/vsrc/networks").iterdir())) == 2


def test_export_of_a_graph_makes_its_package_beside(graph: Path) -> None:
    done = CliRunner().invoke(main, ["export", str(graph), "--precision", "fp16", "--min-psnr=45"])
    assert done.exit_code == 0, done.output
    assert set(open_package("g.vsrc").spec.graphs) == {"fp32", "fp16"}
    again = CliRunner().invoke(main, ["export", str(graph), "--io", "float", "--layout", "window"])
    assert again.exit_code == 0, again.output
    assert open_package("g.vsrc").spec.graphs["fp32-float"].layout == "window"
    Path("other.onnx").write_bytes(graph.read_bytes() + b"\x12\x00")
    other = CliRunner().invoke(main, ["export", "other.onnx", "-o", "g.vsrc"])
    assert (other.exit_code, "package of another network" in other.stderr) == (1, True)


def test_pack_says_what_it_found(graph: Path) -> None:
    done = CliRunner().invoke(main, ["pack", str(graph), "-o", "my.vsrc"])
    assert done.exit_code == 0, done.output
    assert "one frame, RGB in 0..1, x2, any size, fp32, opset 17" in done.stdout
    refused = CliRunner().invoke(main, ["pack", str(graph), "-o", "my.vsrc"])
    assert (refused.exit_code, "add --overwrite" in refused.stderr) == (2, True)


@pytest.mark.parametrize("words", [["infer", "in.png", "-o", "o.png"], ["bench"]])
def test_nothing_is_told_without_a_model(words: list[str]) -> None:
    done = CliRunner().invoke(main, [*words, "--scale", "2"])
    assert (done.exit_code, "edge-m-x2 upscales by 2" in done.stderr) == (2, True)


def test_nothing_is_told_of_a_package() -> None:
    done = CliRunner().invoke(main, ["infer", "in.png", "-m", "edge-s", "-o", "o.png", "--scale=2"])
    assert done.exit_code == 2
    assert "--scale is for networks without a package" in done.stderr


def write_picture(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = 48, 32, "rgb24"
        frame = av.VideoFrame.from_ndarray(sample_frames(1)[0, :32, :48].copy(), format="rgb24")
        container.mux(stream.encode(frame))
    return path

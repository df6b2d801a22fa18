from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import nn

from vsrc.calibration.calibration_file import read_calibration
from vsrc.cli import main
from vsrc.compressor.data.library import IngestProgress
from vsrc.compressor.distill import distill
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.video.edge import build_edge
from vsrc.compressor.plan import plan
from vsrc.compressor.split import split
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.progress import TrainProgress
from vsrc.runtime.errors import DataError, MismatchError, OutputError, SpecError, StoppedError
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import Argument


def tiny_student(window: int = 3) -> nn.Module:
    """A user's own network, found as `module:function`."""
    return build_edge(EdgeSize(2, 4, 1), window=window, name="tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short videos of a moving mosaic."""
    folder = tmp_path_factory.mktemp("data")
    for seed in range(2):
        mosaic = np.random.default_rng(seed).integers(0, 256, (20, 20, 3))
        canvas = np.kron(mosaic, np.ones((4, 4, 1))).astype(np.uint8)
        with av.open(str(folder / f"{seed}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=24)
            assert isinstance(stream, av.VideoStream)
            stream.width = stream.height = 64
            stream.pix_fmt = "bgr0"
            for t in range(9):
                frame = av.VideoFrame.from_ndarray(canvas[t : t + 64, :64].copy(), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return folder


@pytest.fixture(scope="module")
def teacher_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("teacher") / "edvr_xs.pth"
    torch.save(create("edvr-xs", window=3).state_dict(), path)
    return path


@pytest.fixture
def config(data: Path, teacher_weights: Path, tmp_path: Path) -> DistillConfig:
    return DistillConfig(
        teacher="edvr-xs",
        teacher_weights=teacher_weights,
        teacher_arguments={"window": 3},
        student=f"{__name__}:tiny_student",
        data=(data,),
        cache=tmp_path / "cache",
        output=tmp_path / "student.vsrc",
        steps=3,
        batch=1,
        patch=32,
        clip_length=3,
        holdout=0.3,
        workers=0,
        device="cpu",
        threads=1,
    )


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are not a package: let `module:function` find this file."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_a_student_is_trained_and_packed(config: DistillConfig, data: Path) -> None:
    steps: list[TrainProgress] = []
    opened: list[IngestProgress] = []

    def note(now: IngestProgress | TrainProgress) -> None:
        steps.append(now) if isinstance(now, TrainProgress) else opened.append(now)

    path = distill(config, report=note, command="vsrc distill ...")
    assert [now.step for now in steps] == [1, 2, 3]
    assert opened[-1].done == opened[-1].total == 2
    package = open_package(path)
    network = create(package.spec.network.name, **package.spec.network.arguments)
    load_weights(network, package.weights())
    assert steps[-1].psnr == package.spec.quality[0].value
    log = (config.run_folder / "log.jsonl").read_text().splitlines()
    over_bicubic = json.loads(log[-1])["psnr_over_bicubic"]
    assert steps[-1].bicubic_psnr == pytest.approx(steps[-1].psnr - over_bicubic)
    provenance = package.spec.provenance
    assert provenance.teacher == "edvr-xs"
    assert provenance.data == (str(data),)
    assert provenance.frames == 9
    assert provenance.objective.startswith("std lambda_space=")
    assert provenance.command == "vsrc distill ..."
    assert (provenance.steps, provenance.recipe["patch"]) == (3, "32")


def test_a_run_that_was_stopped_ends_as_one_that_was_not(config: DistillConfig) -> None:
    whole = distill(config)
    part = replace(config, output=config.output.with_name("part.vsrc"))

    def stop(now: IngestProgress | TrainProgress) -> None:
        if isinstance(now, TrainProgress) and now.step == 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError, match="step 2 of 3"):
        distill(part, report=stop)
    assert not part.output.exists()
    resumed = distill(replace(part, resume=True))
    expected, got = (load_file(folder / "weights.safetensors") for folder in (whole, resumed))
    assert [key for key in expected if not torch.equal(expected[key], got[key])] == []


def test_a_package_is_trained_further(config: DistillConfig) -> None:
    first = distill(replace(config, objective="none"))
    again = replace(
        config, student=str(first), output=config.output.with_name("again.vsrc"), learning_rate=1e-9
    )
    with pytest.raises(
        SpecError, match=r"'tests\.compressor\.test_distill:tiny_student'.*--allow-code"
    ):
        distill(again)
    second = distill(replace(again, allow_code=True))
    before, after = (load_file(folder / "weights.safetensors") for folder in (first, second))
    for key, tensor in before.items():
        torch.testing.assert_close(after[key], tensor, rtol=0, atol=1e-7)
    assert open_package(second).spec.network == open_package(first).spec.network


def test_a_checkpoint_may_fit_in_part(config: DistillConfig) -> None:
    config = replace(config, student="edvr-xs", teacher=None, objective="none", steps=1)
    weights = config.teacher_weights
    config = replace(config, student_weights=weights, learning_rate=1e-9)
    with pytest.raises(MismatchError, match=r"edvr-xs \(scale=4\): 2 missing"):
        distill(replace(config, student_arguments={"window": 3, "tsa": False}))
    path = distill(
        replace(config, student_arguments={"window": 3, "tsa": False}, student_weights_as="partial")
    )
    found = load_file(path / "weights.safetensors")
    expected = torch.load(weights or Path(), weights_only=True)
    torch.testing.assert_close(found["conv_hr.weight"], expected["conv_hr.weight"])


def test_edge_students_are_packed_as_they_are_trained(config: DistillConfig) -> None:
    path = distill(replace(config, student="edge-s", objective="none", steps=1))
    assert "body.0.expand.weight" in load_file(path / "weights.safetensors")
    assert open_package(path).spec.provenance.teacher is None


def test_csd_leaves_both_widths(config: DistillConfig, tmp_path: Path) -> None:
    small: dict[str, Argument] = {"blocks": 1, "features": 8}
    wide = replace(config, student="edsr", student_arguments=small, objective="none", teacher=None)
    narrow = replace(
        wide,
        student_arguments={**small, "width": 0.5},
        teacher=str(distill(wide)),
        teacher_weights=None,
        teacher_arguments={},
        objective="csd",
        objective_options={"vgg": str(tiny_vgg(tmp_path)), "negatives": 1},
        output=tmp_path / "narrow.vsrc",
        ema=0.0,
    )
    student = load_file(distill(narrow) / "weights.safetensors")
    teacher = load_file(narrow.run_folder / "teacher.vsrc" / "weights.safetensors")
    before = load_file(wide.output / "weights.safetensors")
    assert torch.equal(student["head.weight"], teacher["head.weight"][:4])
    assert not torch.equal(before["head.weight"], teacher["head.weight"])
    quarter = replace(narrow, other_widths=(0.25,), overwrite=True, steps=6)
    distill(quarter)
    full = narrow.run_folder / "teacher.vsrc"
    cut = CliRunner().invoke(
        main, ["split", str(full), "--width", "0.25", "-o", str(tmp_path / "quarter.vsrc")]
    )
    assert cut.exit_code == 0, cut.output
    found = load_file(tmp_path / "quarter.vsrc" / "weights.safetensors")
    wide_after = load_file(full / "weights.safetensors")
    assert torch.equal(found["head.weight"], wide_after["head.weight"][:2])
    assert open_package(tmp_path / "quarter.vsrc").spec.network.arguments["width"] == 0.25


def test_widths_need_shared_weights(config: DistillConfig) -> None:
    with pytest.raises(ValueError, match=r"other_widths=\[0\.5\]: .*none .*csd"):
        distill(replace(config, objective="none", teacher=None, other_widths=(0.5,)))
    path = distill(replace(config, objective="none", teacher=None))
    with pytest.raises(MismatchError, match=r"student\.vsrc .*tiny_student.*csd"):
        split(open_package(path), width=0.5, output=path.with_name("narrow.vsrc"))


def tiny_vgg(folder: Path) -> Path:
    """A file with VGG16's layers, one channel each."""
    torch.manual_seed(0)
    state = {}
    for layer in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24):
        state[f"features.{layer}.weight"] = torch.rand(1, 1 if layer else 3, 3, 3)
        state[f"features.{layer}.bias"] = torch.zeros(1)
    save_file(state, folder / "vgg.safetensors")
    return folder / "vgg.safetensors"


def test_what_exists_is_not_lost(config: DistillConfig) -> None:
    config = replace(config, objective="none", steps=1)
    distill(config)
    with pytest.raises(OutputError, match=r"student\.vsrc .*--overwrite"):
        distill(config)
    elsewhere = replace(config, output=config.output.with_name("b.vsrc"), run_dir=config.run_folder)
    with pytest.raises(OutputError, match=r"student\.vsrc\.run .*--resume"):
        distill(elsewhere)
    fresh = replace(config, run_dir=config.output.with_name("other.run"), resume=True)
    with pytest.raises(OutputError, match=r"student\.vsrc .*--overwrite"):
        distill(fresh)  # there is nothing to resume, so the package is another run's
    (config.run_folder / "notes.txt").write_text("mine", encoding="utf-8")
    distill(replace(config, overwrite=True))
    assert (config.run_folder / "notes.txt").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"teacher": None}, ValueError, "std .*--teacher"),
        ({"teacher": "edvr-m", "teacher_weights": None}, ValueError, "edvr-m .*--teacher-weights"),
        ({"student": "edge-z"}, ValueError, "'edge-z'.* edge-s"),
        ({"scale": 2}, MismatchError, "tiny_student .* 4, .* 2: .*--set scale=4"),
        ({"patch": 3}, ValueError, "patch=3 .*scale=4"),
        ({"patch": 4096}, DataError, r"patch=4096 .*64\)"),
        ({"clip_length": 40}, DataError, r"40 .*9\)"),
    ],
)
def test_bad_settings_say_what_to_do(
    config: DistillConfig, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        distill(replace(config, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("run", [distill, plan])
def test_a_patch_is_rounded_to_the_scale_and_that_is_said(
    config: DistillConfig, run: Callable[..., object], caplog: pytest.LogCaptureFixture
) -> None:
    odd = replace(config, objective="none", teacher=None, student="edge-s", scale=3, steps=1)
    run(replace(odd, patch=32, student_arguments={"window": 3}))
    assert "patch=32 is not a multiple of scale=3: using patch=30" in caplog.text
    if run is distill:
        assert open_package(odd.output).spec.provenance.recipe["patch"] == "30"


def test_a_plan_counts_without_teaching(config: DistillConfig) -> None:
    found = plan(replace(config, accumulate=2))
    assert found.student.parameters == spec_of(tiny_student()).parameters
    assert found.images_per_step == 6
    assert found.total_seconds == pytest.approx(3 * found.step_seconds)
    assert found.step_seconds > 0
    assert "folder of videos" in found.data[0] or "2 clips" in found.data[0]
    assert not config.run_folder.exists()
    assert not (config.cache or Path()).exists()


@pytest.mark.parametrize("run", [plan, distill])
@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile 'a.mp4'\n", "no video"])
def test_a_plan_ends_as_the_run_where_no_clip_can_be_opened(
    config: DistillConfig, tmp_path: Path, run: Callable[..., object], text: str
) -> None:
    folder = tmp_path / "refused"
    folder.mkdir()
    (folder / "list.mp4").write_text(text)
    with pytest.raises(DataError, match=r"none of the 1 clips in \S+refused can be used"):
        run(replace(config, data=(folder,)))


def test_a_plan_names_the_clips_that_are_skipped(config: DistillConfig, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(config.data[0], tmp_path / "mixed"))
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile 'a.mp4'\n")
    found = plan(replace(config, data=(folder,)))
    (skipped,) = found.skipped
    assert skipped.name.endswith("list.mp4")
    assert f"skipped    {skipped.name}: " in found.text()


@pytest.mark.parametrize("run", [plan, distill])
def test_a_plan_refuses_the_output_that_the_run_refuses(
    config: DistillConfig, run: Callable[..., object]
) -> None:
    config.output.mkdir()
    with pytest.raises(OutputError, match=str(config.output)):
        run(config)
    config.output.rmdir()
    plan(replace(config, output=config.output / "deep" / "s.vsrc"))
    assert not config.output.exists()


@pytest.mark.parametrize("flag", ["--dry-run", "--overwrite"])
def test_the_command_takes_a_recipe(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = {
        "student": "edge-s",
        "objective": "none",
        "data": [str(data)],
        "cache": str(tmp_path / "cache"),
        "patch": 32,
        "clip_length": 3,
        "workers": 0,
        "device": "cpu",
    }
    Path("recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    arguments = ["distill", "--recipe", "recipe.yaml", "--steps", "2", "--set", "batch=1", flag]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    if flag == "--dry-run":
        assert "edge-s: 64,464 parameters" in done.stdout
    else:
        assert done.stdout.strip() == "student.vsrc"
        assert open_package("student.vsrc").spec.provenance.steps == 2


def test_a_mistyped_setting_is_a_usage_error(data: Path) -> None:
    done = CliRunner().invoke(main, ["distill", "--data", str(data), "--set", "step=3"])
    assert done.exit_code == 2
    assert "'step'" in done.stderr
    assert " steps" in done.stderr


def test_a_package_trained_for_int8_carries_its_ranges(config: DistillConfig) -> None:
    int8 = replace(config, objective="none", teacher=None, steps=4, int8_last=0.5)
    path = distill(int8)
    found = read_calibration(path)
    assert found is not None
    assert found.is_learnt
    assert set(found.ranges) == {"fusion", "body.0"}
    assert found.float_layers == ("encoder", "tail")
    assert found.weights_sha256 == open_package(path).spec.weights.sha256
    assert all(low == 0 < high for low, high in found.ranges.values())
    assert all(low < 0 < high for low, high in found.outputs.values())
    (quality,) = open_package(path).spec.quality
    assert quality.data == "held-out clips, computed in int8"
    assert read_calibration(distill(replace(int8, int8_last=0.0, overwrite=True))) is None


def test_a_run_that_learns_int8_ends_alike_stopped_or_not(config: DistillConfig) -> None:
    int8 = replace(config, objective="none", teacher=None, steps=4, int8_last=0.75)
    whole = distill(replace(int8, output=config.output.with_name("whole.vsrc")))
    stopped = replace(int8, checkpoint_every=1)

    def stop(progress: IngestProgress | TrainProgress) -> None:
        if isinstance(progress, TrainProgress) and progress.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError):
        distill(stopped, report=stop)
    path = distill(replace(stopped, resume=True))
    ends = [load_file(one / "weights.safetensors") for one in (whole, path)]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    assert read_calibration(whole) == read_calibration(path)

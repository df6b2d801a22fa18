"""What a foreign graph takes is found by running it, and the graph around it gives the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from support.foreign import ForeignCase, write_foreign
from vsrc.export.foreign.form import ForeignForm, enlarge_chroma, form_of
from vsrc.export.foreign.measuring import describe_foreign
from vsrc.export.foreign.normalising import normalise
from vsrc.export.foreign.original import opset_of_model, original_of, read_original
from vsrc.export.foreign.probe import Told, find_form, real_frames_for
from vsrc.export.foreign.wrapping import wrap
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.picture.bicubic import upscale
from vsrc.runtime.spec import GraphIo, GraphLayout

RGB = ForeignForm("image", 1, 1, "rgb", 2)
CASES = {
    "rgb": ForeignCase(RGB),
    "rgb 0..255": ForeignCase(replace(RGB, peak=255), opset=13),
    "rgb x1, fixed": ForeignCase(replace(RGB, scale=1), opset=11, size=(24, 40), batch=1),
    "half, new opset": ForeignCase(replace(RGB, scale=3), opset=21, is_half=True, batch=1),
    "luma": ForeignCase(replace(RGB, colour="y", scale=3), opset=11),
    "luma 0..255": ForeignCase(replace(RGB, colour="y", peak=255)),
    "window": ForeignCase(replace(RGB, axes="window", window=3)),
    "luma window, old opset": ForeignCase(
        replace(RGB, axes="window", window=3, colour="y"), opset=11
    ),
    "stacked": ForeignCase(replace(RGB, axes="stacked", window=5, peak=255)),
}
EDGES: list[tuple[GraphIo, GraphLayout]] = [
    ("uint8", "window"),
    ("float", "window"),
    ("float", "stacked"),
]


def same_form(found: ForeignForm, wanted: ForeignForm) -> bool:
    """A graph that scales with its input may be fed with either white."""
    return replace(found, peak=wanted.peak) == wanted and found.peak in (1, wanted.peak)


@pytest.mark.parametrize("name", CASES)
def test_the_form_is_found_and_the_graph_around_gives_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    original = read_original(write_foreign(tmp_path / "g.onnx", case))
    form = find_form(original, Told())
    assert same_form(form, case.form)
    if case.form.peak == 255:
        assert form.peak == 255
    plain = normalise(original)
    assert opset_of_model(plain.model) == case.opset
    frames = real_frames_for(original, window=form.window, height=20, width=28)
    exact = form.read(plain.run(form.feed(frames)), frames)
    for graph_io, layout in EDGES:
        model = wrap(plain, form, graph_io=graph_io, layout=layout)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        pictures = np.rint(np.moveaxis(frames, 2, -1) * 255).astype(np.uint8)
        stacked = frames.reshape(1, -1, *frames.shape[-2:])
        fed = pictures if graph_io == "uint8" else stacked if layout == "stacked" else frames
        (sr,) = session.run(None, {"lr": fed})
        if graph_io == "uint8":
            wanted = np.rint(np.moveaxis(exact.clip(0, 1) * 255, 1, -1))
            assert sr.dtype == np.uint8
            assert np.abs(sr.astype(int) - wanted).max() <= 1  # a half may go either way
        else:
            np.testing.assert_allclose(sr, exact.clip(0, 1), atol=2e-6)


def test_what_is_told_goes_before_what_is_found(tmp_path: Path) -> None:
    original = read_original(write_foreign(tmp_path / "g.onnx", CASES["rgb"]))
    assert find_form(original, Told(peak=255, colour="bgr")).words == (
        "one frame, BGR in 0..255, x2"
    )
    with pytest.raises(ValueError, match="upscales by 2, not by 4"):
        find_form(original, Told(scale=4))


def test_forms_that_fit_alike_are_listed(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "g.onnx", CASES["rgb"])
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "body.0.weight":
            noise = np.random.default_rng(0).normal(size=(12, 3, 3, 3)).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(noise, tensor.name))
        if tensor.name == "dark":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([9], np.float32), tensor.name))
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"--range 255 --colour rgb.*--range 1 --colour rgb"):
        find_form(read_original(path), Told())


def test_the_spec_is_counted_and_its_halo_is_the_reach_of_a_change(tmp_path: Path) -> None:
    case = CASES["rgb"]
    original = normalise(read_original(write_foreign(tmp_path / "g.onnx", case)))
    spec = describe_foreign(original, case.form)
    assert (spec.halo, spec.halo_is_exact, spec.size_multiple, spec.scale) == (1, True, 1, 2)
    assert spec.parameters == 12 * 3 * 9 + 12
    assert spec.gmac_per_lr_pixel == pytest.approx(12 * 3 * 9 / 1e9)
    assert form_of(spec) == case.form


@pytest.mark.parametrize("shape", [(1, 3, 5, "h", "w"), (1, 4, 48, 64), (1, 2, 48, 64)])
def test_frames_that_fit_no_form_are_named(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    model = onnx.load(write_foreign(tmp_path / "g.onnx", CASES["rgb"]))
    value = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)
    model.graph.input[0].CopyFrom(value)
    sides = ", ".join("any" if isinstance(side, str) else str(side) for side in shape)
    with pytest.raises(MismatchError, match=re.escape(f"({sides})")):
        find_form(original_of(model, "g.onnx"), Told())


def test_a_fixed_number_of_windows_is_refused(tmp_path: Path) -> None:
    case = replace(CASES["rgb"], batch=4)
    with pytest.raises(MismatchError, match="4"):
        read_original(write_foreign(tmp_path / "g.onnx", case))


def test_weights_that_are_missing_beside_a_graph_are_an_error(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "g.onnx", CASES["rgb"])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w", size_threshold=0)
    (tmp_path / "w").unlink()
    with pytest.raises(SpecError, match="not a complete ONNX file"):
        read_original(path)


@pytest.mark.parametrize("free", [-1, 0])
def test_axes_that_are_written_as_no_length_are_free(free: int, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "g.onnx", CASES["rgb"])
    model = onnx.load(path)
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_value = free
    onnx.save(model, path)
    original = read_original(path)
    assert original.shape == (None, 3, None, None)
    assert original.run(np.zeros((1, 3, 20, 28), np.float32)).shape == (1, 3, 40, 56)


def test_a_file_of_the_time_when_constants_were_inputs(tmp_path: Path) -> None:
    """PyTorch wrote version 3 of the format up to 1.2, and others still do."""
    path = write_foreign(tmp_path / "g.onnx", ForeignCase(RGB, opset=11))
    model = onnx.load(path)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    onnx.checker.check_model(model)
    onnx.save(model, path)
    original = read_original(path)
    frames = real_frames_for(original, window=1, height=20, width=28)
    graph = wrap(normalise(original), RGB, graph_io="float", layout="stacked")
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (sr,) = session.run(None, {"lr": frames[:, 0]})
    np.testing.assert_array_equal(sr, original.run(frames[:, 0]).clip(0, 1))


@pytest.mark.parametrize("divisor", [32, 64])
def test_sizes_are_found_for_a_graph_that_divides_its_frames(divisor: int, tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "g.onnx", CASES["rgb"])
    model = onnx.load(path)
    first = next(node for node in model.graph.node if "input" in node.input)
    first.input[0] = "again"
    for name, source, target in (
        ("SpaceToDepth", "input", "blocks"),
        ("DepthToSpace", "blocks", "again"),
    ):
        node = onnx.helper.make_node(name, [source], [target], blocksize=divisor)
        model.graph.node.insert(list(model.graph.node).index(first), node)
    onnx.save(model, path)
    original = normalise(read_original(path))
    spec = describe_foreign(original, find_form(original, Told()))
    assert (spec.size_multiple, spec.scale) == (divisor, 2)


def test_an_output_of_integers_is_refused(tmp_path: Path) -> None:
    model = onnx.load(write_foreign(tmp_path / "g.onnx", CASES["rgb"]))
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    with pytest.raises(MismatchError, match="uint8"):
        original_of(model, "g.onnx")


@pytest.mark.parametrize("shape", [(1, "h", "w", 3), (1, 48, 64, 1), (1, 5, 48, 64, 3)])
def test_channels_at_the_end_are_refused(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    model = onnx.load(write_foreign(tmp_path / "g.onnx", CASES["rgb"]))
    value = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)
    model.graph.input[0].CopyFrom(value)
    with pytest.raises(MismatchError, match="channels last"):
        find_form(original_of(model, "g.onnx"), Told())


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("is_typed", [False, True])
def test_an_output_that_is_no_picture_is_passed_over(
    tmp_path: Path, place: int, *, is_typed: bool
) -> None:
    """Exporters add features or masks, before the picture or behind it."""
    path = write_foreign(tmp_path / "a.onnx", ForeignCase(RGB))
    model = onnx.load(path)
    shape: tuple[str | int, ...] | None = ("n", 12, "h", "w") if is_typed else None
    hidden = onnx.helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, shape)
    model.graph.output.insert(place, hidden)
    onnx.save(model, path)
    original = read_original(path)
    normal = normalise(original)
    assert [one.name for one in normal.model.graph.output] == [normal.output] == ["output"]
    assert original.output == "output"
    assert same_form(find_form(original, Told()), RGB)


@pytest.mark.parametrize(("peak", "factor"), [(1, 255.0), (255, 1 / 255)])
@pytest.mark.parametrize("is_told", [False, True])
def test_an_output_in_another_range_is_named(
    tmp_path: Path, peak: int, factor: float, *, is_told: bool
) -> None:
    """It was packed, and gave white pictures."""
    path = write_foreign(tmp_path / "a.onnx", ForeignCase(replace(RGB, peak=peak)))
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "unscaled"
    tensor = onnx.numpy_helper.from_array(np.array(factor, np.float32), "factor")
    model.graph.initializer.append(tensor)
    model.graph.node.append(onnx.helper.make_node("Mul", ["unscaled", "factor"], ["output"]))
    onnx.save(model, path)
    with pytest.raises(MismatchError, match="in another range than it takes"):
        find_form(read_original(path), Told(peak=peak if is_told else None))


def test_an_even_window_is_named(tmp_path: Path) -> None:
    case = ForeignCase(replace(RGB, axes="window", window=4))
    with pytest.raises(MismatchError, match=r"a\.onnx takes a window of 4 frames"):
        find_form(read_original(write_foreign(tmp_path / "a.onnx", case)), Told())


def test_an_input_without_a_shape_is_named(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "a.onnx", ForeignCase(RGB))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    with pytest.raises(MismatchError, match="does not say the shape of its input input"):
        read_original(path)


def test_a_graph_with_a_state_is_refused(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "g.onnx", CASES["rgb"])
    model = onnx.load(path)
    state = onnx.helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, [1, 8, "H", "W"])
    model.graph.input.append(state)
    onnx.save(model, path)
    with pytest.raises(MismatchError, match="has the inputs input, state; expected one"):
        read_original(path)


def test_chroma_is_enlarged_as_matlab_does_but_for_the_border() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    large = enlarge_chroma(np.moveaxis(picture, -1, 0).astype(np.float32), 2)
    inside = np.moveaxis(large, 0, -1)[6:-6, 6:-6]
    wanted = upscale(picture, 2)[6:-6, 6:-6]
    assert np.abs(inside.clip(0, 255) - wanted).max() <= 0.5 + 1e-3

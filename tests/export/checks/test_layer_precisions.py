"""What an engine computes in is read from its inspector, and compared with what was asked.

The fixtures are written by hand after public reports of the inspector's output:

- TensorRT 8: https://docs.nvidia.com/deeplearning/tensorrt/archives/tensorrt-861/developer-guide/
  ("Engine Inspector"), which says that formats are not shown with dynamic shapes
- TensorRT 10: https://github.com/NVIDIA/TensorRT/issues/4020 (resnet18, trtexec of 24.06)
- kernel names of fp32 and fp16: https://github.com/NVIDIA/TensorRT/issues/3583
- TensorRT 11: https://docs.nvidia.com/deeplearning/tensorrt/11.0.0/api/migration/
  tensorrt-10x-to-11x-IEngineInspector.html; only what surrounds the layers was found
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from vsrc.export.checks.layer_precisions import UNKNOWN, check_share, convolution_precisions
from vsrc.runtime.errors import GateError

DYNAMIC = "N/A due to dynamic shapes"
XMMA = "sm80_xmma_fprop_implicit_gemm"
INT8_KERNEL = (
    f"{XMMA}_interleaved_i8f16_i8i32_f32_nchw_vect_c_32kcrs_vect_c_32_nchw_tilesize64x32x64"
)
FP16_KERNEL = f"{XMMA}_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize256x64x32_stage3_warpsize4x1x1_g1"
FP32_KERNEL = f"{XMMA}_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize256x64x32_stage3_warpsize4x2x1_g1"


def layer(kind: str, read: str, **more: object) -> dict[str, object]:
    tensor = {"Name": "t", "Location": "Device", "Dimensions": [-1, 8, 9, 9]}
    tensors = [{**tensor, "Format/Datatype": read}]
    return {"Name": "n", "LayerType": kind, "Inputs": tensors, "Outputs": tensors, **more}


def convolution(weights: str, tactic: str = "", read: str = DYNAMIC) -> dict[str, object]:
    """As TensorRT 8.6 and 10 describe one under an optimisation profile."""
    parts: dict[str, object] = {"ParameterType": "Convolution", "Kernel": [3, 3], "OutMaps": 12}
    if weights:
        parts["Weights"] = {"Type": weights, "Count": 13824}
        parts["Bias"] = {"Type": "Float", "Count": 12}
    if tactic:
        parts |= {"TacticName": tactic, "TacticValue": "0xff4e814e86dc840c"}
    return layer("CaskConvolution", read, **parts)


def counts(*layers: object, **more: Any) -> dict[str, int]:  # noqa: ANN401
    return convolution_precisions(json.dumps({"Layers": list(layers), **more}))


def test_formats_of_all_versions_are_understood() -> None:
    found = counts(
        layer("CaskConvolution", "Row major linear FP32", ParameterType="Convolution"),
        layer("CaskConvolution", "Channel major FP16 format where channel % 8 == 0"),
        layer("CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format"),
        layer("conv", "Half"),
        layer("CaskDeconvolutionV2", "Int8"),
        layer("Convolution", "Float"),
        layer("PointWiseV2", "Half"),
        layer("Reformat", "Row major linear FP32"),
        "a name alone, as without detailed profiling",
        Bindings=["lr", "sr"],
    )
    assert found == {"fp16": 2, "fp32": 2, "int8": 2}


@pytest.mark.parametrize("is_10", [False, True])
def test_with_free_shapes_the_weights_tell_it(is_10: bool) -> None:
    """8.6, and 10, which adds streams and metadata."""
    more = {"StreamId": 0, "Metadata": "[ONNX Layer: /head/Conv]"} if is_10 else {}
    layers = [
        layer("Reformat", DYNAMIC, ParameterType="Reformat", Origin="REFORMAT"),
        convolution("Half", FP16_KERNEL) | more,
        convolution("Int8", INT8_KERNEL) | more,
        convolution("Float", FP32_KERNEL) | more,
    ]
    assert counts(*layers, Bindings=["lr", "sr"]) == {"fp16": 1, "fp32": 1, "int8": 1}


@pytest.mark.parametrize(
    ("tactic", "expected"),
    [
        (INT8_KERNEL, "int8"),
        (f"{XMMA}_interleaved_i8i8_i8i32_f32_nchw_vect_c_32kcrs_vect_c_32", "int8"),
        (FP16_KERNEL, "fp16"),
        ("sm75_xmma_fprop_implicit_gemm_indexed_wo_smem_f16f16_f16f16_f16_nhwckrsc", "fp16"),
        (FP32_KERNEL, "fp32"),
        ("sm80_xmma_fprop_implicit_gemm_indexed_f32f32_f32f32_f32_nchwkcrs_nchw", "fp32"),
        ("ampere_scudnn_128x64_relu_xregs_large_nn_v1", "fp32"),
        ("turing_h1688cudnn_256x64_ldg8_relu_exp_small_nhwc_tn_v1", "fp16"),
        ("volta_int8_i8816cudnn_int8_256x128_ldg16_relu_singleBuffer_small_nt_v1", "int8"),
        ("sm89_xmma_fprop_implicit_gemm_e4m3e4m3_f32_f32_nhwckrsc", "fp8"),
        ("generatedNativePointwise", UNKNOWN),
        ("0x00000000000003e8", UNKNOWN),
    ],
)
def test_without_weights_the_name_of_the_kernel_tells_it(tactic: str, expected: str) -> None:
    assert counts(convolution("", tactic)) == {expected: 1}


def test_the_weights_count_more_than_the_kernel_and_the_kernel_more_than_the_format() -> None:
    assert counts(convolution("Int8", FP16_KERNEL, "Float")) == {"int8": 1}
    assert counts(convolution("", FP16_KERNEL, "Row major linear FP32")) == {"fp16": 1}


def test_what_surrounds_the_layers_of_11_does_not_matter() -> None:
    tensor = {"Name": "lr", "IOMode": "Input", "DataType": "UInt8", "Dimensions": [-1, -1, -1, 3]}
    assert counts(convolution("Half"), **{"I/O Tensors": [tensor]}) == {"fp16": 1}
    unknown = {"Name": "n", "LayerType": "Convolution", "Kind": "Half", "Operands": ["Half"]}
    assert counts(unknown) == {UNKNOWN: 1}
    renamed = {"name": "n", "layerType": "CaskConvolution", "weights": {"type": "Half"}}
    assert counts(renamed) == {"fp16": 1}


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"Layers": []}', '{"Layers": ["conv"]}', '{"Layers": 3}', "null"),
        '{"Layers": {"LayerType": "conv"}}',
        pytest.param("[" * 200_000, id="too deep to parse"),
        pytest.param(None, id="nothing"),  # a foreign library may return it
    ],
)
def test_what_says_nothing_counts_nothing(text: str) -> None:
    assert convolution_precisions(text) == {}


@pytest.mark.parametrize("inputs", [None, [], ["Half"], {}, [None], 7])
def test_a_layer_of_any_other_form_is_unknown(inputs: object) -> None:
    assert counts({"LayerType": "Convolution", "Inputs": inputs, "Weights": []}) == {UNKNOWN: 1}


def test_an_engine_that_is_not_what_its_name_says_is_refused() -> None:
    asked = {"fp16": 2, "int8": 8}
    assert check_share(asked, {"fp16": 2, "int8": 8}, precision="int8", typed=True) == "layers"
    one_in_ten = check_share(asked, {"fp16": 3, "int8": 7}, precision="int8", typed=True)
    assert one_in_ten == "layers"
    with pytest.raises(GateError, match=r"80 % .* 50 % .*\(5 fp16, 5 int8\)"):
        check_share(asked, {"fp16": 5, "int8": 5}, precision="int8", typed=True)
    check_share({"fp32": 3}, {"fp16": 3}, precision="fp32", typed=True)


@pytest.mark.parametrize("actual", [{}, {UNKNOWN: 3}, {UNKNOWN: 1, "fp32": 1, "fp16": 1}])
def test_what_is_not_told_refuses_nothing(actual: dict[str, int]) -> None:
    asked = {"fp16": 3, "fp32": 2}
    assert check_share(asked, actual, precision="fp16", typed=True) == "graph"
    assert check_share(asked, actual, precision="fp16", typed=False) == "none"


def test_what_is_told_may_settle_it_whatever_the_rest_is() -> None:
    asked = {"int8": 10}
    told = {"fp32": 6, UNKNOWN: 4}
    with pytest.raises(GateError, match=r"100 % .* 0 % are \(6 fp32, 4 unknown\)"):
        check_share(asked, told, precision="int8", typed=False)
    assert check_share(asked, {"int8": 9, UNKNOWN: 1}, precision="int8", typed=False) == "layers"

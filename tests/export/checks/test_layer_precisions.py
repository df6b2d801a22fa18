"""What an engine computes in is read from its inspector, and compared with what was asked."""

from __future__ import annotations

import json

import pytest

from vsrc.export.checks.layer_precisions import check_share, convolution_precisions
from vsrc.runtime.errors import GateError


def layer(kind: str, read: str, **more: str) -> dict[str, object]:
    tensor = {"Name": "t", "Dimensions": [1, 8, 9, 9], "Format/Datatype": read}
    return {"Name": "n", "LayerType": kind, "Inputs": [tensor], "Outputs": [tensor], **more}


def test_formats_of_all_versions_are_understood() -> None:
    information = {
        "Layers": [
            layer("CaskConvolution", "Row major linear FP32", ParameterType="Convolution"),
            layer("CaskConvolution", "Channel major FP16 format where channel % 8 == 0"),
            layer("CaskConvolution", "Thirty-two wide channel vectorized row major Int8 format"),
            layer("conv", "Half"),
            layer("CaskDeconvolutionV2", "Int8"),
            layer("Convolution", "Float"),
            layer("PointWiseV2", "Half"),
            layer("Reformat", "Row major linear FP32"),
            "a name alone, as without detailed profiling",
        ],
        "Bindings": ["lr", "sr"],
    }
    found = convolution_precisions(json.dumps(information))
    assert found == {"fp16": 2, "fp32": 2, "int8": 2}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Layers": []}', '{"Layers": ["conv"]}'])
def test_what_says_nothing_counts_nothing(text: str) -> None:
    assert convolution_precisions(text) == {}


def test_an_engine_that_is_not_what_its_name_says_is_refused() -> None:
    asked = {"fp16": 2, "int8": 8}
    check_share(asked, {"fp16": 2, "int8": 8}, precision="int8", typed=True)
    check_share(asked, {"fp16": 3, "int8": 7}, precision="int8", typed=True)  # one in ten
    with pytest.raises(GateError, match=r"80 % .* 50 % .*\(5 fp16, 5 int8\)"):
        check_share(asked, {"fp16": 5, "int8": 5}, precision="int8", typed=True)
    check_share({"fp32": 3}, {"fp16": 3}, precision="fp32", typed=True)


def test_silence_is_trusted_only_of_a_builder_that_had_no_choice() -> None:
    check_share({"fp16": 3}, {}, precision="fp16", typed=True)
    with pytest.raises(GateError, match=r"fp16 .*TensorRT 10"):
        check_share({"fp16": 3}, {}, precision="fp16", typed=False)

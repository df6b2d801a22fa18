"""What the package of a run says of its origin."""

from __future__ import annotations

from pathlib import Path

from vsrc.compressor.build import build
from vsrc.compressor.data.library import ClipLibrary
from vsrc.compressor.results import trained_on_clips, write_results
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.package import open_package
from vsrc.runtime.sample import SAMPLE_CLIP


def test_the_sample_clip_is_named_as_typed_and_not_by_a_path_of_the_installation(
    tmp_path: Path,
) -> None:
    clips, output = tmp_path / "clips", tmp_path / "mine.vsrc"
    config = DistillConfig(
        student="edge-s", objective="none", data=(SAMPLE_CLIP, clips), output=output
    )
    built = build(config)
    data = trained_on_clips(config, built, ClipLibrary((), (), 4, "bi"))
    write_results(config, built, built.student.network, data=data, command="vsrc", psnr=None)
    assert SAMPLE_CLIP.name not in (output / "model.json").read_text(encoding="utf-8")
    origin = open_package(output).spec.provenance
    assert origin.data == ("sample", str(clips))
    assert origin.recipe["data"] == str(["sample", str(clips)])

"""Shares of many inputs: together they are all of them, and no input is in two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.infer_config import InferConfig
from vsrc.runtime.inference import infer
from vsrc.runtime.shard import parse_shard, shared_out
from vsrc.runtime.sources import Source
from vsrc.runtime.targets import Target

Make = Callable[..., Any]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("inputs", [0, 1, 5, 8])
def test_shares_cover_all_inputs_once(count: int, inputs: int) -> None:
    source = Source("a", (Path("a"),), is_pictures=False)
    targets = [Target(source, Path(f"{at}.mp4"), is_pictures=False) for at in range(inputs)]
    shares = [shared_out(targets, parse_shard(f"{at}/{count}")) for at in range(1, count + 1)]
    backwards = [
        shared_out(targets[::-1], parse_shard(f"{at}/{count}")) for at in range(1, count + 1)
    ]
    assert shares == backwards  # whatever order a file system lists them in
    assert sorted(str(one.path) for share in shares for one in share) == [
        str(target.path) for target in targets
    ]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no share|does not exist"):
        parse_shard(text)


def test_machines_fill_one_folder_together(
    tmp_path: Path, clip: Path, enlarger: Make, tiny_package: Path
) -> None:
    library, output = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    for name in "abc":
        shutil.copy(clip, library / f"{name}.mp4")
    config = InferConfig((library,), output, shard=parse_shard("1/2"), frames=2)
    assert len(infer(config, session=enlarger()).files) == 2
    arguments = ["infer", str(library), "-o", str(output), "-m", str(tiny_package)]
    done = CliRunner().invoke(main, [*arguments, "--shard", "2/2", "--frames", "2", "--json"])
    assert done.exit_code == 0, done.output
    assert [Path(file["output"]).name for file in json.loads(done.stdout)["files"]] == ["b.mp4"]
    assert sorted(path.name for path in output.iterdir()) == ["a.mp4", "b.mp4", "c.mp4"]
    none = CliRunner().invoke(main, [*arguments, "--shard", "4/4"])
    assert (none.exit_code, none.stdout) == (0, "")

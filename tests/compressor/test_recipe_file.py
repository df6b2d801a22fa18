from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.compressor.recipe import read_recipe
from vsrc.compressor.recipe_file import find_recipe, recipe_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, as that of somebody who installed the wheel."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_names_are_those_of_the_folder() -> None:
    assert recipe_names() == sorted(p.stem for p in (ROOT / "recipes").iterdir())


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", ["std-vespcn", "std-vespcn.yaml", "recipes/std-vespcn.yaml"])
def test_a_shipped_recipe_is_found_from_any_folder(name: str) -> None:
    assert find_recipe(name) == find_recipe(Path(name)) == ROOT / "recipes" / "std-vespcn.yaml"
    assert read_recipe(name).student == "vespcn"


def test_a_file_has_precedence_over_a_shipped_recipe(elsewhere: Path) -> None:
    (elsewhere / "std-vespcn.yaml").write_text("student: edge-m\ndata: clips", encoding="utf-8")
    assert read_recipe("std-vespcn.yaml").student == "edge-m"
    assert read_recipe("std-vespcn").student == "vespcn"


def test_a_folder_of_that_name_is_not_a_recipe(elsewhere: Path) -> None:
    (elsewhere / "std-vespcn").mkdir()
    assert read_recipe("std-vespcn").student == "vespcn"


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "name",
    ["std-vespcm", "", "other/std-vespcn.yaml", "/recipes/std-vespcn.yaml", "std-vespcn.yml"],
)
def test_an_unknown_recipe_lists_those_that_ship(name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        find_recipe(name)
    assert all(shipped in str(caught.value) for shipped in recipe_names())


@pytest.mark.usefixtures("elsewhere")
def test_the_command_says_which_recipes_ship() -> None:
    result = CliRunner().invoke(main, ["distill", "--recipe", "std", "--dry-run"])
    assert result.exit_code == 1
    assert "recipe 'std'" in result.output
    assert "imdn-cpu" in result.output

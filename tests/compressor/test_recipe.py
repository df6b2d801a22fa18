from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.places import PACKAGE
from vsrc.cli import main
from vsrc.compressor.networks.table import NETWORKS, names
from vsrc.compressor.objectives.table import OBJECTIVES
from vsrc.compressor.recipe import find_code, read_recipe
from vsrc.compressor.training.config import DistillConfig

RECIPE = """
teacher: edvr-m
student: edge-m
data: clips
steps: 1_000
learning_rate: 1e-4
milestones: [0.25, 0.5]
max_height: null
student_arguments: {window: 3}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_a_recipe_gives_every_field_its_type(recipe: Path) -> None:
    assert read_recipe(recipe) == DistillConfig(
        teacher="edvr-m",
        student="edge-m",
        data=(Path("clips"),),
        steps=1000,
        learning_rate=1e-4,
        milestones=(0.25, 0.5),
        student_arguments={"window": 3},
    )


def test_settings_override_the_recipe_and_options_override_both(recipe: Path) -> None:
    config = read_recipe(
        recipe,
        settings=["steps=7", "batch=3", "objective_options.lambda_space=1e-2", "resume=true"],
        options={"steps": 9, "data": ("a", "b"), "output": "x.vsrc"},
    )
    assert (config.steps, config.batch, config.resume) == (9, 3, True)
    assert config.objective_options == {"lambda_space": 0.01}
    assert config.data == (Path("a"), Path("b"))
    assert config.run_folder == Path("x.vsrc.run")


def test_nested_settings_join_those_of_the_recipe(recipe: Path) -> None:
    config = read_recipe(recipe, settings=["student_arguments.width=0.5"])
    assert config.student_arguments == {"window": 3, "width": 0.5}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rat=1", "'learning_rat'.* learning_rate"),
        ("steps=many", r"\.steps: .*int, .*'many'"),
        ("steps=0", "steps=0 .* 1"),
        ("schedule=linear", "schedule: 'linear' .*'cosine'"),
        ("steps", "'steps': .*key=value"),
        ("edge.width=1", r"edge\.width: .*student_arguments, "),
    ],
)
def test_mistakes_are_refused_with_what_was_meant(recipe: Path, setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_recipe(recipe, settings=[setting])


def test_a_recipe_that_is_not_a_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("- steps", encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe\.yaml .*`key: value`.*list"):
        read_recipe(path)


@pytest.mark.parametrize("path", sorted((PACKAGE / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_names_what_exists(path: Path) -> None:
    config = read_recipe(path)
    for name in (config.student, config.teacher):
        assert name is None or name in names() or name.endswith(".vsrc")
    arguments = set(inspect.signature(NETWORKS[config.student]).parameters)
    assert set(config.student_arguments) <= arguments
    builder = OBJECTIVES[config.objective]
    assert set(config.objective_options) <= set(inspect.signature(builder).parameters)
    if config.teacher_cache is None:
        assert builder.needs_teacher == (config.teacher is not None)
    else:
        assert builder.needs_picture_alone or not builder.needs_teacher
    assert config.patch % config.scale == 0


def test_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match="--data"):
        read_recipe(None)


@pytest.mark.parametrize("key", ["student", "teacher", "objective"])
def test_code_in_a_recipe_is_shown_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / "evil.py").write_text("open('ran', 'w')\ndef make(**_): raise SystemExit(9)\n")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"data: [.]\n{key}: evil:make\n")
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["distill", "--recipe", str(recipe), "--dry-run"])
    assert (shown.exit_code, "evil:make" in shown.stdout) == (0, True)
    refused = CliRunner().invoke(main, ["distill", "--recipe", str(recipe)])
    assert refused.exit_code == 1
    assert "evil:make" in refused.stderr
    assert "--allow-code" in refused.stderr
    assert not (tmp_path / "ran").exists()


def test_what_is_typed_is_not_code_of_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("teacher: a:b\nobjective: output+c:d\nstudent: spandrel:x.pth\n")
    assert find_code(recipe) == {"teacher": "a:b", "objective": "c:d"}
    assert find_code(recipe, options={"teacher": "e:f"}) == {"objective": "c:d"}
    assert find_code(recipe, settings=["objective=g:h"]) == {"teacher": "a:b"}
    assert find_code(None, settings=["teacher=a:b"]) == {}
    recipe.write_text("objective: spandrel:run\n")  # a prefix of networks, not of objectives
    assert find_code(recipe) == {"objective": "spandrel:run"}


def test_a_recipe_cannot_allow_its_own_code(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: [.]\nallow_code: true\n")
    with pytest.raises(ValueError, match="--allow-code"):
        read_recipe(recipe)


def test_a_wrong_value_is_named_as_it_was_typed() -> None:
    with pytest.raises(ValueError, match=r"^--steps -5 must be 1 or more$"):
        read_recipe(None, options={"steps": -5})
    with pytest.raises(ValueError, match=r"^--set: steps=-5 must be 1 or more$"):
        read_recipe(None, settings=["steps=-5"])

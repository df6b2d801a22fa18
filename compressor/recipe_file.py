"""Find the file of a recipe: a path, or the name of a shipped one.

Shipped recipes are in `recipes/` of the package, in a checkout as in an installed wheel.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


def recipe_names() -> list[str]:
    """Names of the shipped recipes, without the suffix."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find_recipe(name: str | Path) -> Path:
    """Find the file of a recipe.

    Args:
        name: Path of a YAML file; or a shipped recipe, as `std-vespcn` or, as its path in a
            checkout, `recipes/std-vespcn.yaml`. A file of that path has precedence.

    Raises:
        FileNotFoundError: Neither; the message lists the shipped recipes.
    """
    path = Path(name)
    if path.is_file():
        return path
    stem = path.name.removesuffix(".yaml")
    if path.parent in (Path(), Path("recipes")) and stem in recipe_names():
        return FOLDER / f"{stem}.yaml"
    raise FileNotFoundError(
        f"no recipe {str(name)!r}: expected a YAML file or the name of a shipped recipe, "
        f"one of {', '.join(recipe_names())}"
    )

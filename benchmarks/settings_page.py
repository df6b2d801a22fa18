"""Write `docs/settings.md`: every setting of `vsrc distill`, from its dataclass.

python -m vsrc.benchmarks.settings_page
"""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from vsrc.commands.distill import distill_command
from vsrc.compressor.training.config import (
    DISTILL_RANGES,
    OBJECTIVE_NAMES,
    TRAINER_RANGES,
    DistillConfig,
    TrainerConfig,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_HEAD = """# Settings of vsrc distill

Every setting can stand in a recipe (`setting: value`) and be given by `--set setting=value`; some
have an option of their own. Made from the code by `make schemas`: do not edit.
"""
_SECTIONS = {"Networks, data and files": DistillConfig, "Training": TrainerConfig}


def settings_page() -> str:
    """Text of the page."""
    hints = get_type_hints(DistillConfig)
    trainer = {field.name for field in fields(TrainerConfig)}
    parts = [_HEAD]
    for heading, config in _SECTIONS.items():
        meanings = _meanings(config)
        own = [
            each for each in fields(config) if config is TrainerConfig or each.name not in trainer
        ]
        parts += [f"## {heading}\n", "| setting | option | default | range | meaning |"]
        parts.append("|---|---|---|---|---|")
        parts += [_row(field, hints[field.name], meanings[field.name]) for field in own]
        parts.append("")
    return "\n".join(parts)


def write_settings_page() -> Path:
    """Write the page; returns its path."""
    PAGE.write_text(settings_page(), encoding="utf-8")
    return PAGE


def _meanings(config: type) -> dict[str, str]:
    """Field -> its meaning, from the section Attributes of the docstring."""
    text = inspect.getdoc(config) or ""
    section = text.partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in entries}


def _row(field: Field[object], hint: object, meaning: str) -> str:
    cells = (
        f"`{field.name}`",
        _option(field.name),
        _default(field),
        _range(field.name, hint),
        meaning,
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _option(name: str) -> str:
    found = [each for each in distill_command.params if each.name == name]
    return f"`{max(found[0].opts, key=len)}`" if found else ""


def _default(field: Field[object]) -> str:
    value = field.default if field.default is not MISSING else None
    if value in (None, (), ""):
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _range(name: str, hint: object) -> str:
    if name == "objective":
        return f"{', '.join(f'`{each}`' for each in OBJECTIVE_NAMES)}, `module:function`, or a sum"
    if name in (ranges := {**TRAINER_RANGES, **DISTILL_RANGES}):
        return str(ranges[name])
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    names: dict[object, str] = {
        bool: "true, false",
        int: "integer",
        float: "number",
        str: "text",
        Path: "path",
    }
    args = [each for each in get_args(hint) if each not in (type(None), Ellipsis)]
    if get_origin(hint) is tuple:
        return "list"
    if get_origin(hint) is dict:
        return "mapping"
    return names.get(args[0] if args else hint, "list" if args else "text")


if __name__ == "__main__":
    print(write_settings_page())

"""`a+b`: sum of several objectives."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from vsrc.compressor.objectives.objective import RECONSTRUCTION, Objective, Observation


class Sum(Objective):
    """Sum of all terms of all parts; the distance to ground truth counts once, from the first.

    Args:
        parts: Objectives by name.
    """

    def __init__(self, parts: Mapping[str, Objective]) -> None:
        super().__init__()
        # A module's name has no dots, as that of a user's own objective may.
        self.parts = nn.ModuleDict({key.replace(".", "/"): part for key, part in parts.items()})
        self._names = list(parts)
        each = list(parts.values())
        self.student_taps = _unite([part.student_taps for part in each])
        self.teacher_taps = _unite([part.teacher_taps for part in each])
        self.needs_teacher = any(part.needs_teacher for part in each)
        self.needs_time = any(part.needs_time for part in each)
        self.shares_weights = any(part.shares_weights for part in each)

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr`, and the others as `part/term`."""
        terms: dict[str, Tensor] = {}
        for name, part in zip(self._names, self.parts.values(), strict=True):
            for key, term in part(seen).items():
                if key != RECONSTRUCTION:
                    terms[f"{name}/{key}"] = term
                elif RECONSTRUCTION not in terms:
                    terms[RECONSTRUCTION] = term
        return terms

    def before_update(self, terms: Mapping[str, float]) -> None:
        """Pass its own terms to each part."""
        for name, part in zip(self._names, self.parts.values(), strict=True):
            assert isinstance(part, Objective)
            start = f"{name}/"
            part.before_update(
                {k.removeprefix(start): v for k, v in terms.items() if k.startswith(start)}
            )


def _unite(taps: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for paths in taps for path in paths))

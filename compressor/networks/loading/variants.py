"""Constructor arguments that weights may have been trained with, read from names and shapes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from vsrc.runtime.spec import Argument

Arguments = dict[str, Argument]


@dataclass(frozen=True)
class Clues:
    """What the tensors of a file tell without knowing their network.

    Attributes:
        kernels: Shapes of the convolutions, in the order of the file.
        shapes: Shape of each tensor by name.
        counts: Lengths of the numbered lists in the names, ascending.
    """

    kernels: tuple[tuple[int, ...], ...]
    shapes: Mapping[str, tuple[int, ...]]
    counts: tuple[int, ...]

    @property
    def features(self) -> int:
        """Output channels of the first convolution, or 0."""
        return self.kernels[0][0] if self.kernels else 0

    @property
    def channels(self) -> int:
        """Input channels of the first convolution, or 0."""
        return self.kernels[0][1] if self.kernels else 0


def read_clues(state: Mapping[str, Tensor]) -> Clues:
    """Collect clues from the tensors of a checkpoint."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    members: defaultdict[str, set[int]] = defaultdict(set)
    for name in shapes:
        for number in re.finditer(r"\d+", name):
            before, after = name[: number.start()], name[number.end() :]
            # Numbers inside of the list differ from member to member of an outer one.
            members[re.sub(r"\d+", "#", before) + "*" + re.sub(r"\d+", "#", after)].add(
                int(number.group())
            )
    counts = {len(numbers) for numbers in members.values()}
    counts |= {count - 1 for count in counts if count > 1}  # a list whose last member is another
    kernels = tuple(shape for shape in shapes.values() if len(shape) == 4)
    return Clues(kernels, shapes, tuple(sorted(counts)))


def variants(name: str, clues: Clues) -> Iterator[Arguments]:
    """Yield arguments of a network of the table, `scale` excepted; the defaults come first."""
    yield {}
    if make := _VARIANTS.get(name):
        yield from _combine(make(clues))


def _combine(choices: Mapping[str, Sequence[Argument]]) -> Iterator[Arguments]:
    for values in product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _depth(clues: Clues) -> Mapping[str, Sequence[Argument]]:
    return {"features": (clues.features,), "blocks": clues.counts}


def _rlfn(clues: Clues) -> Mapping[str, Sequence[Argument]]:
    squeezed = [shape[0] for name, shape in clues.shapes.items() if name.endswith("conv_f.weight")]
    return {**_depth(clues), "squeezed": tuple(squeezed[:1])}


def _grouped(clues: Clues) -> Mapping[str, Sequence[Argument]]:
    features = {shape[0] for shape in clues.kernels if shape[1] == 3 and shape[0] > 3}
    return {"features": tuple(features), "groups": clues.counts, "blocks": clues.counts}


def _edsr(clues: Clues) -> Mapping[str, Sequence[Argument]]:
    features = {shape[0] for shape in clues.kernels if shape[1] == 3 and shape[0] > 3}
    # The authors scale the branches of their widest network alone.
    factor = 0.1 if max(features, default=0) >= 256 else 1.0
    return {"features": tuple(features), "blocks": clues.counts, "residual_scale": (factor,)}


def _fsrcnn(clues: Clues) -> Mapping[str, Sequence[Argument]]:
    if len(clues.kernels) < 2:
        return {"maps": ()}
    return {
        "channels": (clues.channels,),
        "features": (clues.features,),
        "shrunk": (clues.kernels[1][0],),
        "maps": (sum(1 for shape in clues.kernels if shape[2:] == (3, 3)),),
    }


def _edge(clues: Clues) -> Mapping[str, Sequence[Argument]]:
    shapes = clues.shapes
    fusion = shapes.get("fusion.conv.weight", shapes.get("fusion.weight"))
    if fusion is None or len(fusion) != 4:
        return {"blocks": ()}
    encoded = shapes["encoder.weight"][0] if "encoder.weight" in shapes else 0
    return {
        "encoded": (encoded,),
        "features": (fusion[0],),
        "blocks": clues.counts,
        "window": (fusion[1] // (encoded or 3),),
    }


def _named_edge(clues: Clues) -> Mapping[str, Sequence[Argument]]:
    return {"window": _edge(clues).get("window", ())}


_EDVR: Mapping[str, Sequence[Argument]] = {
    "window": (5, 7, 3),
    "tsa": (True, False),
    "predeblur": (False, True),
    "hr_input": (False, True),
}
_VESPCN: Mapping[str, Sequence[Argument]] = {
    "window": (3, 5),
    "channels": (3, 1),
    "body": ("residual", "plain"),
    "layers": (5, 7, 9, 11),
}
_VSRNET: Mapping[str, Sequence[Argument]] = {
    "window": (3, 5, 7),
    "channels": (1, 3),
    "fusion": ("symmetric", "early"),
}

_VARIANTS: dict[str, Callable[[Clues], Mapping[str, Sequence[Argument]]]] = {
    "imdn": _depth,
    "imdn-as": _depth,
    "imdn-rtc": _depth,
    "imdn-rte": _depth,
    "rlfn": _rlfn,
    "etds": _depth,
    "mobile-rrn": _depth,
    "fsrcnn": _fsrcnn,
    "edsr": _edsr,
    "rcan": _grouped,
    "san": _grouped,
    "edvr-xs": lambda _: _EDVR,
    "edvr-m": lambda _: _EDVR,
    "edvr-l": lambda _: _EDVR,
    "vespcn": lambda _: _VESPCN,
    "vsrnet": lambda _: _VSRNET,
    "edge": _edge,
    "edge-s": _named_edge,
    "edge-m": _named_edge,
    "edge-l": _named_edge,
}

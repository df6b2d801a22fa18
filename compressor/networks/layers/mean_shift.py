"""Value range of EDSR and networks derived from it: 0..255 minus the mean colour of DIV2K.

Official checkpoints carry that shift as two 1x1 convolutions, `sub_mean` and `add_mean`; here
it is arithmetic on constants, and a checkpoint's values are compared with them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrc.runtime.errors import MismatchError

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean of the 800 training images of DIV2K, RGB in [0, 1]."""


class MeanShift(nn.Module):
    """Convert from [0, 1] to the value range of a network, and back.

    Args:
        rgb_range: Largest value of that range before the shift: 255 in the official releases.
    """

    def __init__(self, rgb_range: float = 255.0) -> None:
        super().__init__()
        self.rgb_range = rgb_range
        mean = torch.tensor(DIV2K_MEAN).reshape(1, 3, 1, 1) * rgb_range
        self.register_buffer("mean", mean, persistent=False)

    def enter(self, lr: Tensor) -> Tensor:
        """Convert `(N, 3, H, W)` RGB in [0, 1] to the range of the network, around 0."""
        return lr * self.rgb_range - self.get_buffer("mean")

    def leave(self, sr: Tensor) -> Tensor:
        """Convert the network's output, `(N, 3, H, W)`, to RGB in [0, 1]."""
        return (sr + self.get_buffer("mean")) / self.rgb_range

    def taken_from(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Remove `sub_mean` and `add_mean` from a checkpoint; they must hold the same values.

        Raises:
            MismatchError: It was trained with another range or another mean.
        """
        mean = torch.tensor(DIV2K_MEAN) * self.rgb_range
        for key, sign in (("sub_mean", -1.0), ("add_mean", 1.0)):
            bias = state.get(f"{key}.bias")
            if bias is None or bias.is_meta:
                continue
            if bias.shape != (3,) or not torch.allclose(bias.float(), sign * mean, rtol=1e-2):
                raise MismatchError(
                    f"{key}.bias is {bias.flatten().tolist()[:3]}, expected "
                    f"{(sign * mean).tolist()}: the network was trained in another range; pass "
                    "rgb_range=1 for one trained on [0, 1]"
                )
        return {
            k: v for k, v in state.items() if k.partition(".")[0] not in ("sub_mean", "add_mean")
        }

"""Apply a network that takes windows to every frame of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.features.whole_clip import WholeClipNetwork
from vsrc.compressor.networks.layers.carried_state import run_step, zero_state
from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder
from vsrc.runtime.spec import NetworkSpec


class ClipNetwork(nn.Module):
    """Feed the windows around the frames of a clip; the first and last frame are repeated.

        clip of 5, window of 5:   frame 0 sees  0 0 0 1 2
                                  frame 1 sees  0 0 1 2 3
                                  frame 2 sees  0 1 2 3 4   ...

    Where the network encodes frames (or runs of them) by themselves, that is done once for the clip
    and not once per window. A network with a state sees all frames before those requested, too.

    Args:
        network: Any network of the table; its parameters are shared, not copied.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.spec = spec_of(network)

    def forward(self, clip: Tensor, frames: Sequence[int]) -> Tensor:
        """Upscale the requested frames.

        Args:
            clip: `(N, L, 3, H, W)` float32 RGB in [0, 1].
            frames: Indices of the L frames to upscale. A network that doubles the frame rate sees
                every second frame of the clip (an odd number of frames) and returns all L.

        Returns:
            `(N, len(frames), 3, sH, sW)`.
        """
        if self.spec.time_scale == 2:
            sr: Tensor = self.network(clip[:, ::2])
            return sr[:, list(frames)]
        if self.spec.state:
            return self._step_by_step(clip, frames)
        if isinstance(self.network, WholeClipNetwork):
            return self.network.upscale_clip(clip)[:, list(frames)]
        if isinstance(self.network, FrameEncoder) and self._fits(clip):
            flat = self._encode_then_fuse(self.network, clip, frames)
        elif self.spec.window == 1:
            flat = self.network(clip[:, list(frames)].flatten(0, 1))
        else:
            windows = clip[:, window_indices(frames, length=clip.shape[1], window=self.spec.window)]
            flat = self.network(windows.flatten(0, 1))
        return flat.reshape(len(clip), len(frames), *flat.shape[1:])

    def _fits(self, clip: Tensor) -> bool:
        """Whether the frames need no padding; only whole windows are padded by a network."""
        return all(side % self.spec.size_multiple == 0 for side in clip.shape[-2:])

    def _step_by_step(self, clip: Tensor, frames: Sequence[int]) -> Tensor:
        state = zero_state(self.spec, clip)
        steps = range(max(frames) + 1)
        windows = window_indices(steps, length=clip.shape[1], window=self.spec.window)
        restored = []
        for seen in windows:
            sr, state = run_step(self.network, clip[:, seen], state)
            restored.append(sr)
        return torch.stack([restored[frame] for frame in frames], dim=1)

    def _encode_then_fuse(
        self, network: FrameEncoder, clip: Tensor, frames: Sequence[int]
    ) -> Tensor:
        batch, length = clip.shape[:2]
        indices = window_indices(frames, length=length, window=self.spec.window)
        runs = indices.unfold(1, network.encoded_frames, 1)
        used, places = torch.unique(runs.flatten(0, 1), dim=0, return_inverse=True)
        places = places.view(runs.shape[:2])
        seen = clip[:, used if network.encoded_frames > 1 else used[:, 0]]

        def windows(feature: Tensor) -> Tensor:
            by_run = feature.view(batch, used.shape[0], *feature.shape[1:])
            return by_run[:, places].flatten(0, 1)

        features = tuple(windows(feature) for feature in network.encode(seen.flatten(0, 1)))
        return network.fuse(features, clip[:, list(frames)].flatten(0, 1))


def clip_for(network: nn.Module, *, lr: Tensor, hr: Tensor) -> Tensor:
    """Input of the network: HR for a teacher that takes the ground truth, else LR."""
    return hr if getattr(network, "sees_hr", False) else lr


def clip_length(spec: NetworkSpec) -> int:
    """Number of frames of the shortest clip of which one frame has all its neighbours."""
    return spec.window if spec.time_scale == 1 else 2 * spec.window - 1


def window_indices(frames: Sequence[int], *, length: int, window: int) -> Tensor:
    """Frame indices of the window around each frame, `(len(frames), window)`, ends repeated."""
    offsets = torch.arange(window) - window // 2
    return (torch.tensor(list(frames))[:, None] + offsets).clamp(0, length - 1)

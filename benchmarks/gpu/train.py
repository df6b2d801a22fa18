"""Teach a network on one GPU, in a piece of some minutes that goes on from committed weights.

    python benchmarks/gpu/train.py edge-m --data piece0 piece1 --out edge-m.safetensors \
        [--minutes 9] [--start FILE] [--teacher edvr-m --teacher-weights FILE] [--int8]

Data lies in GPU memory (`pack.py` makes the pieces), so nothing is waited for. bf16, channels_last,
torch.compile, Adam; the rate falls along a cosine within each piece, measured in time, so a piece
ends well however fast the machine is. With a teacher its pictures are learnt from, too. What is
written are averaged weights in half precision, and a line of JSON with rates and held-out PSNR.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vsrc.benchmarks.gpu.clips_on_gpu import Clips, read_clips
from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.training.ema import Ema
from vsrc.compressor.training.quantiser import Quantiser

EPSILON = 1e-3
HELD_OUT = 40
"""Every so many clips one is not trained on."""


def main() -> None:
    options = _options()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(options.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    clips = read_clips(options.data, device)
    drawn = {"scale": options.scale, "window": 5, "patch": options.patch, "seed": options.seed}
    training_clips = Clips([c for i, c in enumerate(clips) if i % HELD_OUT], **drawn)
    held = Clips(clips[::HELD_OUT], **{**drawn, "seed": 0})
    network = _filled(options.network, options.start, options.scale).to(device)
    teacher = None
    if options.teacher:
        teacher = _filled(options.teacher, options.teacher_weights, options.scale).to(device).eval()
    print(
        f"{training_clips.frames} frames in {len(training_clips.hr)} clips on {device}", flush=True
    )
    report = train(network, teacher, training_clips, held, options)
    state = {k: v.half().contiguous().cpu() for k, v in network.state_dict().items()}
    save_file(state, options.out)
    print(json.dumps(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--teacher")
    parser.add_argument("--teacher-weights", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--patch", type=int, default=64, help="LR pixels")
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--int8", action="store_true", help="the network computes in int8")
    parser.add_argument("--no-compile", action="store_true")
    return parser.parse_args()


def _filled(name: str, weights: Path | None, scale: int) -> nn.Module:
    network = create(name, scale=scale)
    if weights is not None:
        load_weights(network, weights)
    for weight in network.parameters():
        if weight.dim() == 4:  # what lies innermost in a weight does so in the feature
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return network


def train(
    network: nn.Module,
    teacher: nn.Module | None,
    training_clips: Clips,
    held: Clips,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Train until the time is over; the network ends with the averaged weights."""
    ema, quantiser = Ema(network, decay=0.999), Quantiser(network) if options.int8 else None
    learning = [*network.parameters(), *(quantiser.parameters() if quantiser else ())]
    optimizer = torch.optim.Adam(learning, lr=options.rate, betas=(0.9, 0.99))
    eager = options.no_compile or quantiser is not None
    ahead: Callable[[Tensor], Tensor] = network if eager else torch.compile(network)
    started, steps, waited, loss = time.monotonic(), 0, 0.0, torch.zeros(())
    seconds = options.minutes * 60
    while (done := (time.monotonic() - started) / seconds) < 1:
        warm = min(1.0, (steps + 1) / 200)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * warm * 0.5 * (1 + math.cos(math.pi * done))
        before = time.monotonic()
        lr, hr = training_clips.batch(options.batch)
        waited += time.monotonic() - before
        loss = _loss(ahead, network, teacher, quantiser, lr, hr)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        ema.update(network)
        steps += 1
        if steps % 500 == 0:
            print(f"step {steps}: loss {loss.item():.5f}, {done:.0%} of the time", flush=True)
    network.load_state_dict(ema.network.state_dict())
    return {
        "steps": steps,
        "images_per_second": steps * options.batch / seconds,
        "share_of_time_on_data": waited / seconds,
        "loss": loss.item(),
        "held_out_psnr_y_db": held_out_psnr(network, held),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def _loss(
    ahead: Callable[[Tensor], Tensor],
    network: nn.Module,
    teacher: nn.Module | None,
    quantiser: Quantiser | None,
    lr: Tensor,
    hr: Tensor,
) -> Tensor:
    with torch.autocast(lr.device.type, torch.bfloat16):
        if quantiser is None:
            sr = ahead(lr)
        else:
            with quantiser.applied(network):
                sr = network(lr)
        target = None
        if teacher is not None:
            with torch.no_grad():
                target = teacher(lr).float()
    loss: Tensor = ((sr.float() - hr).square() + EPSILON**2).sqrt().mean()
    return loss if target is None else loss + (sr.float() - target).abs().mean()


@torch.no_grad()
def held_out_psnr(network: nn.Module, held: Clips, *, crops: int = 256) -> float:
    """Mean over crops of PSNR of 8-bit Y, dB."""
    weights = torch.tensor([65.481, 128.553, 24.966]).view(3, 1, 1)
    values: list[Tensor] = []
    for _ in range(crops // 16):
        lr, hr = held.batch(16)
        sr = (network.eval()(lr).clamp(0, 1) * 255).round() / 255
        error = ((sr - hr) * weights.to(sr)).sum(1).square().mean(dim=(1, 2))
        values.append(10 * torch.log10(255**2 / error.clamp_min(1e-6)))
    return float(torch.cat(values).mean())


if __name__ == "__main__":
    main()

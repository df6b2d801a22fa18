"""Choose tiles for one input, and say what that and its bit depth mean for the result."""

from __future__ import annotations

from pathlib import Path

from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode.codec_choice import choose_codec, deepest_codec, writes_8_bits
from vsrc.runtime.encode.encoder_memory import encoder_bytes
from vsrc.runtime.encode.muxers import muxer_of
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.state_session import StateSession
from vsrc.runtime.windows.tile_size import check_tile, choose_tile
from vsrc.runtime.windows.tiles import TiledSession
from vsrc.runtime.windows.upscale import check_batch, describe_warm_up


def add_tiles(
    session: Session, info: VideoInfo, config: InferConfig, target: Target
) -> TiledSession | StateSession:
    """Wrap the session to feed tiles, if requested or required by the memory."""
    height, width = info.height, info.width
    check_batch(session.network, config.batch)
    if isinstance(session, RingSession):
        session.forget()  # every input numbers its frames from 0
    choice = choose_tile(
        session,
        height=height,
        width=width,
        batch=config.batch,
        tile=config.tile,
        encoder=memory_of_encoder(info, config, target, session),
    )
    if isinstance(session, StateSession):
        tiled: TiledSession | StateSession = session.tiled(choice.tile)
    else:
        tiled = TiledSession(session, tile=choice.tile)
    check_tile(choice.tile, session.network)
    tiled.notes += [choice.note] if choice.note else []
    tiled.queue = choice.queue
    if info.depth > 8 and session.graph.io == "uint8":
        tiled.notes.append(_describe_lost_bits(info, config, target))
    if 0 < choice.tile < max(height, width) and not session.network.halo_is_exact:
        tiled.notes.append(
            f"{session.network.name} uses the whole frame as context: results with tiles only "
            "approximate those of whole frames"
        )
    if session.network.state and config.start:
        tiled.notes.append(describe_warm_up(session.network))
    return tiled


def memory_of_encoder(
    info: VideoInfo, config: InferConfig, target: Target, session: Session
) -> float:
    """Return the memory that the encoder of a result will hold, bytes; 0 where it keeps no frames.

    Args:
        info: The source.
        config: Settings of the run.
        target: Input and output.
        session: Session that upscales.
    """
    if target.is_pictures or target.is_pipe:
        return 0.0
    choice = choose_codec(
        config.codec, muxer_of(target.path), info, is_deep=session.graph.io == "float"
    )
    pixels = info.height * info.width * session.network.scale**2
    return encoder_bytes(choice.codec, pixels=pixels, depth=choice.depth)


def _describe_lost_bits(info: VideoInfo, config: InferConfig, target: Target) -> str:
    is_video = not (target.is_pictures or target.is_pipe)
    written = is_video and writes_8_bits(config.codec, info, is_deep=False)
    return (
        f"{info.depth}-bit samples are upscaled {'and written ' if written else ''}in 8 bits: the "
        "graph's inputs are uint8; vsrc export PACKAGE --io float adds a graph with float inputs"
        + (f", and {_describe_deep_codec(info, target.path)}" if written else "")
    )


def _describe_deep_codec(info: VideoInfo, path: Path) -> str:
    deep = deepest_codec(muxer_of(path), info)
    if deep is None:
        return f"--codec x265 writes {info.depth} bits where the output is named .mkv"
    return f"--codec {deep.codec} writes {deep.depth} bits"

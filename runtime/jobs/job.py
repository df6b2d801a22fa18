"""One opened input: its reader, the session that upscales it and the writer of its result."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from math import ceil
from pathlib import Path

from vsrc import __version__
from vsrc.runtime.decode.clips.excerpt import excerpt
from vsrc.runtime.decode.clips.picture_reader import PictureReader
from vsrc.runtime.decode.compression import count_packets
from vsrc.runtime.decode.cuts import mark_shots
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.hardware_decoder import hardware_opener
from vsrc.runtime.decode.playlists import files_of
from vsrc.runtime.decode.probe import VideoInfo, check_supported
from vsrc.runtime.decode.reader import Reader
from vsrc.runtime.decode.sources import Source
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.picture_writer import PictureWriter
from vsrc.runtime.encode.segments import (
    SegmentStore,
    fingerprint,
    resume_folder,
)
from vsrc.runtime.encode.targets import Target, check_space, prepare_folder
from vsrc.runtime.encode.video_stream import VideoSettings
from vsrc.runtime.encode.video_writer import VideoWriter
from vsrc.runtime.encode.y4m_writer import Y4mWriter
from vsrc.runtime.errors import HardwareError, MediaError
from vsrc.runtime.hashing import ContentRecord, record_content
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.hardware import DecoderChoice, choose_decoder, on_cpu
from vsrc.runtime.jobs.on_device import DevicePath, open_device_path, plan_device_stream
from vsrc.runtime.jobs.run_sessions import RunSessions
from vsrc.runtime.jobs.source_records import load_records, records_to_text
from vsrc.runtime.jobs.tiling import add_tiles
from vsrc.runtime.jobs.writer import Writer
from vsrc.runtime.library_failure import library_failures_named
from vsrc.runtime.package import Package
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.windows.guard import Guard
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.state_session import StateSession
from vsrc.runtime.windows.tiles import TiledSession
from vsrc.runtime.windows.upscale import frames_before, neighbours

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One input, ready to be upscaled.

    Attributes:
        target: The input and the path of its result.
        config: Settings of the run.
        reader: Reader of the input.
        session: Session of the network, tiled if necessary.
        model: Name of the model.
        total: Number of frames of the result, 0 where unknown.
        guard: Check of frames computed in reduced precision; None for fp32.
        said: Notes on what was chosen, model and backend, and why.
        known_sources: Records of the source from earlier runs.
        on_device: What keeps frames on a GPU from its decoder to its encoder; None if they go
            through host memory.
    """

    target: Target
    config: InferConfig
    reader: Reader
    session: TiledSession | StateSession
    model: str
    total: int
    guard: Guard | None = None
    said: tuple[str, ...] = ()
    known_sources: tuple[ContentRecord, ...] = ()
    on_device: DevicePath | None = None

    def frames(self) -> Iterable[SourceFrame]:
        """Frames of the source to upscale, and their neighbours."""
        config, network, reader = self.config, self.session.network, self.reader
        time_base = reader.info.time_base
        first_pts = reader.info.start + ceil(_seconds(config.start) / time_base)
        if config.is_excerpt:
            reader.seek(first_pts)
        has_neighbours = network.window > 1 or bool(network.state)
        frames = mark_shots(reader) if config.cuts and has_neighbours else reader
        if not config.is_excerpt:
            return frames
        return excerpt(
            frames,
            first_pts=first_pts,
            count=config.frames,
            context=neighbours(network),
            before=frames_before(network),
            time_base=time_base,
        )

    def another_reader(self) -> Reader:
        """Open the same input again."""
        reader = open_reader(self.target.source, self.config)
        reader.is_deep = self.reader.is_deep
        return reader

    def writer(self) -> Writer:
        """Create the writer of the result: a pipe, images or a video."""
        target, info, network = self.target, self.reader.info, self.session.network
        if target.is_pipe:
            pipe = sys.stdout.buffer
            return Y4mWriter(pipe, info, scale=network.scale, time_scale=network.time_scale)
        prepare_folder(target)
        # A pipe cannot be resumed, and a single image need not be.
        is_kept = not (target.source.is_pipe or target.is_one_picture)
        store = self.store(shared=False) if is_kept else None
        self.make_room(self.total, kept=store.kept.frames if store else 0)
        if target.is_pictures:
            return PictureWriter(
                target.path, pattern=target.pattern, info=info, scale=network.scale, store=store
            )
        return self.video_writer(store)

    def video_writer(self, store: SegmentStore | None) -> VideoWriter:
        """Create a video writer that keeps finished segments if there is a store."""
        return VideoWriter(
            self.target.path,
            self.reader,
            self.settings(),
            store,
            overwrite=self.config.overwrite,
        )

    def store(self, *, shared: bool) -> SegmentStore:
        """Open the store of the finished segments of the result."""
        self._conditions  # noqa: B018  computed now
        return SegmentStore(
            self.target.path,
            lambda: self.fingerprint,
            shared=shared,
            sources=lambda: records_to_text(self.sources),
        )

    def settings(self) -> VideoSettings:
        """Encoder settings of the result."""
        device = None if self.on_device is None else self.config.device
        network, is_deep = self.session.network, self.reader.is_deep
        return replace(_settings(self.config, network, is_deep=is_deep), device=device)

    @cached_property
    def sources(self) -> tuple[ContentRecord, ...]:
        """Records of the files of the source.

        Shares compare all bytes: other machines may have copies with other times.
        """
        files = [file for each in self.target.source.files for file in files_of(each)]
        known = (*self.known_sources, *load_records(resume_folder(self.target.path)))
        verify = self.config.verify or self.config.shard is not None
        return tuple(record_content(file, known, verify=verify) for file in files)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that the bytes of the result depend on; equal on equal machines."""
        return self._fingerprint(self._conditions)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Return that of this job, and that of the same job with frames on a GPU."""
        on_device = self._fingerprint(self._hash_conditions(on_device=True))
        return self.fingerprint, on_device

    def _fingerprint(self, conditions: str) -> str:
        names = [file.name for file in self.target.source.files]
        hashes = [record.sha256 for record in self.sources]
        return fingerprint([names, hashes, conditions])

    @cached_property
    def _conditions(self) -> str:
        """Hash of all of that except the source.

        Computed before the run: a job whose tiles are made smaller meanwhile is still the same job.
        """
        return self._hash_conditions(on_device=self.on_device is not None)

    def _hash_conditions(self, *, on_device: bool) -> str:
        import av

        options = replace(
            self.config,
            inputs=("-",),
            output=Path(),
            model=None,
            overwrite=False,
            verify=False,
            shard=None,
            tile=None,
            device=0,
            # What the GPU decodes is the same; what it converts may differ by one of 255.
            hwaccel="cuda" if on_device else "none",
            # It changes interlaced frames alone, and a job without it ends at the first of those.
            deinterlace=False,
        )
        session = self.session
        made_by = (__version__, av.__version__, av.library_versions, session.label)
        form = (self.target.is_pictures, self.target.pattern)
        return fingerprint([form, options, session.graph, session.network, session.tile, *made_by])

    def make_room(self, frames: int, *, kept: int = 0) -> None:
        """Create the folder of the result; raise if the disk cannot hold so many frames.

        The number may be that of a duration with a gap of hours in it: before a run is refused, the
        packets of the source are counted, which reads it once.
        """
        folder, info = prepare_folder(self.target), self.reader.info
        check = partial(
            check_space,
            folder,
            info,
            scale=self.session.network.scale,
            pictures=self.target.is_pictures,
            kept=kept,
        )
        try:
            check(frames=frames)
        except MediaError:
            source = self.target.source
            if source.is_pictures or source.is_pipe:
                raise
            counted = count_packets(source.files[0], info) * self.session.network.time_scale
            if counted >= frames:
                raise
            check(frames=counted)


@contextmanager
def open_job(
    target: Target,
    config: InferConfig,
    network: RunSessions,
    known_sources: tuple[ContentRecord, ...] = (),
) -> Iterator[Job]:
    """Open one input, and the network for it.

    Args:
        target: Input and output.
        config: Settings of the run.
        network: Sessions of the run.
        known_sources: Records of the source from earlier runs.

    Raises:
        MediaError: It cannot be read, or cannot be upscaled without further options.
    """
    with library_failures_named(target.source.name):
        opened, decoder = _open_decoded(target, config)
    with closing(opened) as reader, ExitStack() as device:
        choice = network.choose(target.source, reader.info)
        bare = network.session(reader.info, choice)
        session = add_tiles(bare, reader.info, config, target)
        reader.is_deep = reader.info.depth > 8 and session.graph.io == "float"
        guard = None
        if session.graph.precision != "fp32" and not network.is_given:
            guard = Guard(
                lambda: add_tiles(network.exact(reader.info, choice), reader.info, config, target)
            )
        total = result_frames(reader.info, config, time_scale=session.network.time_scale)
        path, note = None, decoder.note
        if decoder.open_decoder is not None and not network.is_given and session.tile == 0:
            path, note = _stay_on_device(
                target, config, reader, bare, lambda: network.package(choice), decoder
            )
            if path is not None:
                device.callback(path.close)
        said = [str(choice)] if choice else []
        said += [*network.new_notes(), *([note] if note else [])]
        model = network.model_name(choice)
        yield Job(
            target, config, reader, session, model, total, guard, tuple(said), known_sources, path
        )


def _stay_on_device(
    target: Target,
    config: InferConfig,
    reader: Reader,
    session: Session,
    package: Callable[[], Package],
    decoder: DecoderChoice,
) -> tuple[DevicePath | None, str]:
    """Keep frames on the GPU that decodes them, if it encodes them, too; return a line about it."""
    settings = _settings(config, session.network, is_deep=reader.is_deep)
    plan = plan_device_stream(target, reader.info, settings)
    if config.hwaccel != "cuda" or plan is None or not isinstance(reader, VideoReader):
        return None, decoder.note
    path = None
    try:
        if config.batch > 1:
            raise HardwareError("--batch takes windows from host memory")
        path = open_device_path(package(), session, reader.info, plan, device=config.device)
        opener = hardware_opener(reader.info, config.device, stays=True)
        reader.decode_with(opener, path.convert)
    except HardwareError as error:
        if path is not None:
            path.close()
            assert decoder.open_decoder is not None
            reader.decode_with(decoder.open_decoder)
        return None, f"{decoder.note}; frames go through host memory: {error}"
    return path, f"{decoder.note}; frames stay there up to {plan.encoder.name}"


def _settings(config: InferConfig, network: NetworkSpec, *, is_deep: bool) -> VideoSettings:
    """Encoder settings of a result, with frames from host memory."""
    return VideoSettings(
        codec=config.codec,
        crf=config.crf,
        preset=config.preset,
        threads=config.threads,
        scale=network.scale,
        time_scale=network.time_scale,
        is_excerpt=config.is_excerpt,
        is_deep=is_deep,
        audio=config.audio,
    )


def _open_decoded(target: Target, config: InferConfig) -> tuple[Reader, DecoderChoice]:
    """Open a supported input with the decoder that the settings ask for."""
    reader = open_reader(target.source, config)
    try:
        check_supported(reader.info, allow_hdr=config.allow_hdr, deinterlace=config.deinterlace)
        choice = choose_decoder(target, config, reader.info)
        if choice.open_decoder is not None and isinstance(reader, VideoReader):
            reader.decode_with(choice.open_decoder)
    except HardwareError as error:
        reader.close()
        reader, choice = open_reader(target.source, config), on_cpu(str(error))
    except BaseException:
        reader.close()
        raise
    return reader, choice


def open_reader(source: Source, config: InferConfig) -> Reader:
    """Open a video or an image sequence."""
    if source.is_pictures:
        fps = Fraction(config.fps).limit_denominator(1001)
        return PictureReader(source.files, fps=fps, name=source.name)
    return VideoReader(
        source.files[0], deinterlace=config.deinterlace, is_strict=True, drops_alpha=False
    )


def _seconds(value: float) -> Fraction:
    """Convert to the fraction that was typed: 0.2 is 1/5, not the nearest double."""
    return Fraction(value).limit_denominator(1_000_000)


def result_frames(info: VideoInfo, config: InferConfig, *, time_scale: int = 1) -> int:
    """Number of frames of the result, 0 where unknown."""
    known = info.estimated_frames
    left = max(0, known - ceil(config.start * info.rate)) if known else 0
    if config.frames is not None:
        left = min(left, config.frames) if known else config.frames
    return max(0, 2 * left - 1) if time_scale == 2 else left

"""The training loop: updates, averaging, checkpoints, and resumable interruption.

The data and the randomness of a step are pure functions of (seed, step, process), so a run is
resumed from its weights, its optimiser and a step number, and a stopped and resumed run ends with
bit-identical weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from vsrc.compressor.training import checkpoint
from vsrc.compressor.training.batch_source import Batch, Batches
from vsrc.compressor.training.checkpoint import Checkpoint
from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.compressor.training.ema import Ema
from vsrc.compressor.training.failures import FailurePlace, training_error
from vsrc.compressor.training.pace import Pace
from vsrc.compressor.training.processes import open_accelerator
from vsrc.compressor.training.progress import TrainProgress, scalars
from vsrc.compressor.training.recorded_settings import check_settings
from vsrc.compressor.training.run_log import RunLog
from vsrc.compressor.training.schedule import rate_factor
from vsrc.compressor.training.threads import restore_threads, start_trial
from vsrc.runtime.errors import StoppedError, TrainingError
from vsrc.runtime.memory import oom_kills
from vsrc.runtime.processes.stop_signal import StopSignal, note_stop_signal


class Trainer:
    """One training run, from its first step or a checkpoint to its last step.

    Args:
        distillation: Student, teacher and objective.
        config: Training settings.
        folder: Folder of checkpoints and logs.
        batches: Source of the clips.
        recipe: Settings that a resumed run must share; the number of steps may differ.
        validate: Function that returns a network's PSNR of Y on held-out clips, dB.
        bicubic_psnr: PSNR of bicubic upscaling on the same clips, dB, for comparison.
        sample: Function that returns a sample output of a network, `(3, H, W)` in [0, 1].
        loaders: Number of data loading processes, which need cores, too.
    """

    def __init__(
        self,
        distillation: DistillationStep,
        config: TrainerConfig,
        *,
        folder: Path,
        batches: Batches,
        recipe: Mapping[str, object] | None = None,
        validate: Callable[[nn.Module], float] | None = None,
        bicubic_psnr: float | None = None,
        sample: Callable[[nn.Module], Tensor] | None = None,
        loaders: int = 0,
    ) -> None:
        self.config, self.folder = config, folder
        self.accelerator = open_accelerator(config)
        distillation.place(self.accelerator.device, channels_last=config.channels_last)
        self.distillation = distillation
        self.student = distillation.student.network
        self.ema = Ema(self.student, decay=config.ema)
        self.step = 0
        if config.first_steps:
            self.student.get_submodule(config.first_module)  # raises if the path does not exist
        self._parameters = [p for p in distillation.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(
            self._parameters, lr=config.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self._wrapped, self.optimizer = self.accelerator.prepare(distillation, optimizer)
        self._batches, self._validate, self._sample = batches, validate, sample
        self._recipe = json.dumps(dict(recipe or {}), sort_keys=True)
        self.psnr: float | None = None
        self._bicubic_psnr, self._loaders = bicubic_psnr, loaders
        self._threads: int | None = None
        self._sources: list[str] = []

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    def resume(self) -> int:
        """Resume from the last good checkpoint of the folder, if any; returns the steps done.

        Raises:
            MismatchError: The checkpoint was written with other settings.
            TrainingError: There are checkpoints, but all are damaged.
        """
        last = checkpoint.load_last(self.checkpoints)
        if last is None:
            return 0
        path, state = last
        check_settings(state.config, self._recipe, where=path)
        self.student.load_state_dict(dict(state.tensors["student"]))
        self.ema.network.load_state_dict(dict(state.tensors["ema"]))
        self.distillation.load_state_beside_student(state.tensors["beside"])
        self.optimizer.load_state_dict(dict(state.optimizer))
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(dict(state.scaler))
        self.step, self.ema.updates = state.step, int(state.counters["ema_updates"])
        self._threads = int(state.counters.get("threads", 0)) or None
        return self.step

    def run(self, report: Callable[[TrainProgress], None] | None = None) -> nn.Module:
        """Train to the last step; returns the network with the averaged weights.

        Args:
            report: Called after every step, in the main process.

        Raises:
            TrainingError: The loss or a gradient is not finite, or a step failed otherwise.
            StoppedError: Ctrl+C or SIGTERM, after a checkpoint was written.
        """
        main = self.accelerator.is_main_process
        log = RunLog(self.folder, steps_done=self.step) if main else None
        try:
            with note_stop_signal() as stop, restore_threads():
                self._loop(log, report, stop)
        finally:
            if log is not None:
                log.close()
        return self._kept

    def save(self) -> Path | None:
        """Write a checkpoint (main process only); returns its path."""
        if not self.accelerator.is_main_process:
            return None
        state = Checkpoint(
            step=self.step,
            tensors={
                "student": self.student.state_dict(),
                "ema": self.ema.network.state_dict(),
                "beside": self.distillation.state_beside_student(),
            },
            optimizer=self.optimizer.state_dict(),
            counters={"ema_updates": self.ema.updates, "threads": self._threads or 0},
            scaler={} if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            config=self._recipe,
        )
        return checkpoint.save(self.checkpoints, state)

    @property
    def _kept(self) -> nn.Module:
        """Network whose weights are the result."""
        return self.ema.network if self.config.ema else self.student

    def _loop(
        self, log: RunLog | None, report: Callable[[TrainProgress], None] | None, stop: StopSignal
    ) -> None:
        config, pace, kills = self.config, Pace(), oom_kills()
        self._trial, self._notice = start_trial(
            config, self.accelerator.device, loaders=self._loaders, chosen=self._threads
        )
        stream = self._batches(
            self.step * config.accumulate,
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
        )
        with closing(stream) as batches:
            while self.step < config.steps:
                number = self.step + 1
                try:
                    terms = self._timed_update(batches, pace)
                    self._after_update(log, report, terms, pace, stop)
                except (StoppedError, TrainingError, BrokenPipeError):
                    raise
                except Exception as error:
                    raise training_error(error, self._place(number, kills)) from error
        if self.psnr is None:  # resumed after its last step
            self.distillation.quantising = config.first_int8_step < config.steps
            self._measure(log)

    def _timed_update(self, batches: Iterator[Batch], pace: Pace) -> dict[str, float]:
        pace.start()
        terms, images = self._update(batches, pace)
        pace.end(images)
        if self._trial is not None:
            if self.step == self.config.first_int8_step:
                self._trial.forget_pace()
            seconds = self._mean_over_processes(pace.compute_seconds)
            self._notice = self._trial.note(seconds) or self._notice
            self._threads = self._trial.chosen
        return terms

    def _after_update(
        self,
        log: RunLog | None,
        report: Callable[[TrainProgress], None] | None,
        terms: Mapping[str, float],
        pace: Pace,
        stop: StopSignal,
    ) -> None:
        """Save, validate and report what is due; end the run if a signal asks for it."""
        config = self.config
        stopping = self._agreed(stop.requested) and self.step < config.steps
        if stopping or self._is_due(config.checkpoint_every):
            self.save()
        if self._is_due(config.validate_every):
            self._measure(log)
        if log is not None:
            self._tell(log, report, terms, pace)
        if stopping:
            what = f"stopped at step {self.step} of {config.steps}"
            raise StoppedError(stopped_message(what, self._last_checkpoint()))

    def _last_checkpoint(self) -> Path | None:
        return next(reversed(checkpoint.find_checkpoints(self.checkpoints)), None)

    def _place(self, number: int, kills: int | None) -> FailurePlace:
        return FailurePlace(
            step=number,
            sources=tuple(self._sources),
            checkpoint=self._last_checkpoint(),
            config=self.config,
            process=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
            oom_kills=kills,
        )

    def _is_due(self, every: int) -> bool:
        return self.step == self.config.steps or (every > 0 and self.step % every == 0)

    def _measure(self, log: RunLog | None) -> None:
        """Validate the student, in the main process for all."""
        if log is None:
            return
        with self.distillation.as_deployed(self._kept):
            if self._validate is not None:
                self.psnr = self._validate(self._kept)
            if self._sample is not None:
                log.show(self.step, self._sample(self._kept))

    def _update(self, batches: Iterator[Batch], pace: Pace) -> tuple[dict[str, float], int]:
        """One update of the weights; returns terms averaged over all processes, and images."""
        config, accelerator = self.config, self.accelerator
        self._set_rate()
        self.distillation.quantising = self.step >= config.first_int8_step
        torch.manual_seed(_step_seed(config.seed, self.step, accelerator.process_index))
        parts: list[dict[str, Tensor]] = []
        self._sources = sources = list[str]()
        images = 0
        for part in range(config.accumulate):
            with pace.waiting():
                batch = next(batches)
            sources.extend(batch.sources)
            images += batch.lr.shape[0] * self.distillation.count_upscaled_frames(batch.lr.shape[1])
            last = part == config.accumulate - 1
            with nullcontext() if last else accelerator.no_sync(self._wrapped):
                parts.append(self._forward_backward(batch))
        terms = self._reduced(parts)
        self._check_finite(terms, sources)
        self.distillation.objective.before_update(terms)
        self._step_optimizer(sources)
        return terms, images * accelerator.num_processes

    def _forward_backward(self, batch: Batch) -> dict[str, Tensor]:
        device = self.accelerator.device
        lr, hr = (x.to(device, non_blocking=True) for x in (batch.lr, batch.hr))
        kept = getattr(batch, "teacher", None)  # stored outputs of a teacher for the crops
        pictures = () if kept is None else (kept.to(device, non_blocking=True),)
        terms: dict[str, Tensor] = self._wrapped(lr, hr, *pictures)
        self.accelerator.backward(torch.stack(list(terms.values())).sum() / self.config.accumulate)
        return {name: term.detach().float() for name, term in terms.items()}

    def _step_optimizer(self, sources: Sequence[str]) -> None:
        limit = self.config.clip_norm or math.inf
        norm = self.accelerator.clip_grad_norm_(self._parameters, limit)
        # In fp16 an infinite gradient only means that the loss scale is too high; it is lowered.
        if self.config.precision != "fp16" and norm is not None and not math.isfinite(norm):
            raise TrainingError(self._broken_message(f"the gradient's norm is {norm}", sources))
        if self.step < self.config.first_steps:
            self._keep_still()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.distillation.after_update()
        self.ema.update(self.student)
        self.step += 1

    def _keep_still(self) -> None:
        """Freeze all of the student but `first_module`: no gradient, no momentum."""
        start = f"{self.config.first_module}."
        for name, parameter in self.student.named_parameters():
            if not name.startswith(start):
                parameter.grad = None

    def _set_rate(self) -> None:
        config = self.config
        factor = rate_factor(
            self.step,
            steps=config.steps,
            schedule=config.schedule,
            warmup=config.warmup,
            floor=config.floor,
            milestones=config.milestones,
            step_factor=config.step_factor,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor

    def _reduced(self, parts: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
        """Average terms over forward passes and processes."""
        own = torch.stack([torch.stack(list(part.values())) for part in parts]).mean(0)
        mean = self.accelerator.reduce(own, reduction="mean")
        return dict(zip(parts[0], mean.tolist(), strict=True))

    def _agreed(self, wish: bool) -> bool:
        """Whether the flag is set in any process; the same result in all."""
        return self._mean_over_processes(float(wish)) > 0

    def _mean_over_processes(self, value: float) -> float:
        if self.accelerator.num_processes == 1:
            return value
        values = torch.tensor(value, device=self.accelerator.device)
        return float(self.accelerator.reduce(values, reduction="mean").item())

    def _check_finite(self, terms: Mapping[str, float], sources: Sequence[str]) -> None:
        if not all(map(math.isfinite, terms.values())):
            listed = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
            raise TrainingError(self._broken_message(f"the loss is not finite ({listed})", sources))

    def _broken_message(self, what: str, sources: Sequence[str]) -> str:
        return (
            f"step {self.step + 1}: {what} on {', '.join(dict.fromkeys(sources))}; last good "
            f"checkpoint: {self._last_checkpoint() or 'none yet'}; look at these clips, or lower "
            "learning_rate or clip_norm and resume"
        )

    def _tell(
        self,
        log: RunLog,
        report: Callable[[TrainProgress], None] | None,
        terms: Mapping[str, float],
        pace: Pace,
    ) -> None:
        progress = TrainProgress(
            step=self.step,
            steps=self.config.steps,
            loss=sum(terms.values()),
            terms=terms,
            psnr=self.psnr,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            images_per_second=pace.images_per_second,
            wait_share=pace.wait_share,
            eta_seconds=pace.step_seconds * (self.config.steps - self.step),
            bicubic_psnr=self._bicubic_psnr,
            threads=torch.get_num_threads() if self.accelerator.device.type == "cpu" else None,
            notice=self._notice,
        )
        self._notice = ""
        if self._is_due(self.config.log_every):
            log.write(self.step, scalars(progress))
        if report is not None:
            report(progress)


def stopped_message(what: str, saved: Path | None) -> str:
    """Message of a stopped run: cause, checkpoint, and how to resume."""
    return f"{what}; {saved} is saved; resume with the same command and --resume"


def _step_seed(seed: int, step: int, process: int) -> int:
    return (seed * 1_000_003 + step) * 1_009 + process

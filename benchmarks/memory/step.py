"""Training steps on the card, counted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from dti_pack.dti_core.training import StepReport, TrainingConfig, train
from dti_pack.dti_core.training.captions import OBJECT_TEMPLATES
from dti_pack.dti_core.training.data import TrainingImage
from dti_pack.nodes.host.training.memory import TrainingMemory
from dti_pack.nodes.host.training.memory_plan import MemoryPlan
from dti_pack.nodes.host.training.session import training_session
from dti_pack.nodes.host.training.trained_encoders import trained_encoders

from benchmarks.memory.card import CARD
from benchmarks.memory.crossings import Crossings
from benchmarks.memory.live_tensors import LiveTensors


@dataclass(frozen=True)
class Peaks:
    """Bytes on the card: at the worst moment of each phase, and by part at the worst of all.

    weights: what lies there all the time. encode, network, text_backward: the three phases of a step.
    """

    weights: int
    encode: int
    network: int
    text_backward: int
    parts: dict[str, int]

    @property
    def peak(self) -> int:
        """The worst moment of the step."""
        return max(self.encode, self.network, self.text_backward)


def counted_step(
    model, clip, plan: MemoryPlan, edge: int, batch_size: int = 4, n_captions: int = 4, encoders: str = "all"
) -> Peaks:
    """Count a step of `batch_size` images of `edge` pixels, with captions that all differ.

    encoders: which train, as DTI Train has it.
    """
    counter = LiveTensors(CARD)
    microbatch_size = plan.microbatch_size or batch_size
    pixels_per_latent = getattr(model.model.latent_format, "spacial_downscale_ratio", 8)  # older hosts do not say it
    phases: dict[str, int] = {}
    parts: dict[str, dict[str, int]] = {}

    def end(phase: str) -> None:
        phases[phase], parts[phase] = counter.peak, counter.by_part_at_peak
        counter.restart()

    with torch.inference_mode(), training_session(model, clip, TrainingMemory([plan])) as (text_encoder, denoiser):
        for part, module in (("UNet weights", model.model), ("text encoder weights", clip.cond_stage_model)):
            for tensor in (*module.parameters(), *module.buffers()):
                counter.add(tensor, part)
        weights = counter.now
        rows = {key: torch.zeros(1, v.dim, device=CARD) for key, v in text_encoder.vocabularies.items()}
        vectors = {key: rows.pop(key).requires_grad_() for key in trained_encoders(clip, encoders)}
        text_encoder.hold(rows)
        with counter:
            counter.part = "text encoder activations"
            conditioning = text_encoder.encode(OBJECT_TEMPLATES[:n_captions], {k: v * 0.4 for k, v in vectors.items()})
            leaf = conditioning.detached()
            end("encode")
            for _ in range(2 if microbatch_size < batch_size else 1):  # the second pass is as all that follow
                counter.part = "UNet activations"
                sides = (edge // pixels_per_latent,) * 2
                size = (microbatch_size, denoiser.latent_channels, *sides)
                losses = denoiser.loss(
                    torch.zeros(size, device=CARD),
                    leaf.select(torch.zeros(microbatch_size, dtype=torch.int64)),
                    torch.ones(microbatch_size, device=CARD),
                    torch.zeros(size, device=CARD),
                    torch.tensor([[edge, edge, 0, 0, edge, edge]] * microbatch_size),
                )
                counter.part = "backward"
                torch.autograd.backward(losses.sum())
                del losses
            end("network")
            counter.part = "text encoder backward"
            conditioning.backward(leaf, 1.0)
            end("text_backward")
    worst = max(phases, key=lambda phase: phases[phase])
    return Peaks(weights, phases["encode"], phases["network"], phases["text_backward"], parts[worst])


def crossings_of_steps(model, clip, plan: MemoryPlan, edge: int, n_steps: int = 3) -> Crossings:
    """Run the training loop itself on the card; counted are `n_steps` steps after the first."""
    crossings = Crossings(CARD)
    size = edge // 8
    images = [TrainingImage(torch.zeros(4, size, size), torch.ones(4, size, size), (edge, edge), OBJECT_TEMPLATES)] * 4
    config = TrainingConfig("dog", magnitude=0.4, steps=n_steps + 1, microbatch_size=plan.microbatch_size)

    def on_step(report: StepReport) -> None:
        crossings.is_counting = True

    with (
        torch.inference_mode(),
        crossings,
        training_session(model, clip, TrainingMemory([plan])) as (encoder, denoiser),
    ):
        train(encoder, denoiser, images, config, on_step)
    return crossings

"""What describes the training of a generator fully; no torch here."""

from typing import Literal

from pydantic import Field, model_validator

from napari_mmssl.config import Settings
from napari_mmssl.training.settings import DataSettings, OptimisationSettings, RunSettings, Size


class GateSettings(Settings):
    """What a synthetic volume must reach to be used without being asked for."""

    ssim: float = Field(0.5, ge=-1, le=1, title="SSIM", description="At least, where the real volume is known")
    psnr_db: float = Field(14.0, title="PSNR", description="dB at least, where the real volume is known")
    histogram: float = Field(
        1.5, gt=0, title="Histogram", description="At most, in distances of the farthest real volume to the others"
    )
    gradients: float = Field(
        4.0, gt=0, title="Gradients", description="At most, as for intensities: how often how steep a step is met"
    )
    edges: float = Field(
        0.2, ge=-1, le=1, title="Edges", description="At least: correlation of steepness with that of the source"
    )
    shades: float = Field(
        0.97, ge=0, le=1, title="Shades", description="At most: correlation of ranks with the source, either way round"
    )


class SynthesisLossSettings(Settings):
    """How much each loss of the generators counts."""

    adversarial: float | None = Field(
        None, ge=0, title="Adversarial", description="Unset: 1 for cycle, 0 (none) for paired"
    )
    #: CycleGAN's 10 is for images in [-1, 1]; z-scores spread over about three times that.
    cycle: float = Field(3.0, ge=0, title="Cycle", description="L1 between a patch and what comes back of it")
    identity: float = Field(
        0.0, ge=0, title="Identity", description="L1 of what should be left as it is; CycleGAN takes half of cycle or 0"
    )
    distribution: float = Field(
        0.0, ge=0, title="Distribution", description="Of cycle: intensities as often met as in real patches"
    )
    paired: float = Field(10.0, ge=0, title="Paired", description="L1 to the real patch of the same person")


class SynthesisSettings(RunSettings):
    """The training of generators between two modalities."""

    kind: Literal["synthesis"] = "synthesis"
    source: str = Field(title="From", description="Modality that is there")
    target: str = Field(title="To", description="Modality that is to be made")
    method: Literal["cycle", "paired"] = Field(
        "cycle", title="Method", description="cycle: people need not have both; paired: aligned scans of both"
    )
    size: Size = Field("tiny", title="Size", description="tiny and small suit a CPU; paper wants a GPU")
    dimensions: Literal["2.5d", "3d"] = Field(
        "2.5d", title="Dimensions", description="2.5d: slabs of a few slices, best of whole ones; 3d: blocks"
    )
    history: int = Field(50, ge=0, le=500, title="History", description="Made patches kept to train discriminators")
    loss: SynthesisLossSettings = SynthesisLossSettings()
    gate: GateSettings = GateSettings()
    data: DataSettings = DataSettings(patch=(4, 64, 64))
    optimisation: OptimisationSettings = OptimisationSettings(
        steps=1000, batch_size=2, learning_rate=1e-3, weight_decay=0.0, gradient_clip=10.0
    )

    @model_validator(mode="after")
    def _two_modalities(self) -> "SynthesisSettings":
        if self.source == self.target:
            raise ValueError(f"a generator turns one modality into another, and both are '{self.source}'")
        return self

    @property
    def adversarial_weight(self) -> float:
        """The weight of the adversarial loss, whatever was left to the method."""
        if self.loss.adversarial is not None:
            return self.loss.adversarial
        return 1.0 if self.method == "cycle" else 0.0

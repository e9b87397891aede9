"""How several modalities enter one encoder: as channels, through an adapter, or each alone and then fused."""

import torch
from torch import Tensor, nn

from napari_mmssl.networks.encoders import Encoder, build_encoder


class AdaptedEncoder(Encoder):
    """A single-channel encoder behind a 1x1x1 convolution that mixes all modalities into that channel.

    It begins as the mean of the modalities, so that pretrained weights see about what they know.
    """

    def __init__(self, single: Encoder, in_channels: int) -> None:
        super().__init__()
        self.adapter = nn.Conv3d(in_channels, 1, 1)
        nn.init.constant_(self.adapter.weight, 1 / in_channels)
        nn.init.zeros_(self.adapter.bias)  # type: ignore[arg-type]
        self.single = single
        self.channels, self.strides = single.channels, single.strides

    @property
    def stem(self) -> nn.Conv3d:
        """The adapter."""
        return self.adapter

    def forward(self, patch: Tensor) -> list[Tensor]:
        """Return the feature pyramid of the mixed channel."""
        return self.single(self.adapter(patch))  # type: ignore[no-any-return]


class FusedEncoder(Encoder):
    """Each modality encoded alone by one single-channel encoder, the pyramids fused level by level.

    Any subset of the modalities does: absent ones are not encoded into the result, and with ``mean`` their order
    does not matter either.

    Parameters
    ----------
    single
        Takes one channel; its weights serve every modality.
    in_channels
        Number of modalities the network knows.
    gated
        Weigh the modalities at every place by a softmax over gates that look at the features and know which modality
        they look at. Gates begin equal, which is the mean.

    References
    ----------
    Mean over what is there: Havaei et al. 2016, HeMIS, arXiv:1607.05194 (its mean branch). Gates: Ilse et al. 2018,
    arXiv:1802.04712, equation 8, without the tanh branch, at every voxel.
    """

    def __init__(self, single: Encoder, in_channels: int, *, gated: bool) -> None:
        super().__init__()
        self.single = single
        self.channels, self.strides = single.channels, single.strides
        self.identity = nn.ParameterList(
            nn.Parameter(torch.zeros(in_channels, channels)) for channels in (single.channels if gated else ())
        )
        self.gates = nn.ModuleList(nn.Conv3d(channels, 1, 1) for channels in (single.channels if gated else ()))
        for gate in self.gates:
            nn.init.zeros_(gate.weight)  # type: ignore[arg-type]
            nn.init.zeros_(gate.bias)  # type: ignore[arg-type]

    @property
    def stem(self) -> nn.Conv3d:
        """The first convolution of the shared encoder."""
        return self.single.stem

    def forward(self, patch: Tensor, present: Tensor | None = None) -> list[Tensor]:
        """Return the fused pyramid of ``patch`` ``(B, K, D, H, W)``; ``present`` ``(B, K)`` says which are there."""
        samples, modalities = patch.shape[:2]
        if present is None:
            present = torch.ones(samples, modalities, dtype=torch.bool, device=patch.device)
        present = present.to(patch.device)
        if torch.compiler.is_exporting():
            # An exported program cannot leave anything out: what is absent is encoded too, and weighs nothing.
            everywhere = torch.arange(samples * modalities, device=patch.device)
            sample, modality = everywhere // modalities, everywhere % modalities
            alone, there = self.single(patch.flatten(0, 1).unsqueeze(1)), present.flatten().to(patch)
        else:
            # Only what is there is encoded: a case with two of four modalities costs half.
            sample, modality = torch.nonzero(present, as_tuple=True)
            alone, there = self.single(patch[present].unsqueeze(1)), None
        return [self._fuse(level, features, sample, modality, samples, there) for level, features in enumerate(alone)]

    def _fuse(
        self, level: int, features: Tensor, sample: Tensor, modality: Tensor, samples: int, there: Tensor | None
    ) -> Tensor:
        """Return the weighted mean over the modalities of each sample; ``features`` is ``(n encoded, C, d, h, w)``."""
        if self.gates:
            shift = self.identity[level][modality][:, :, None, None, None]
            # Gates of a few tens at most: exp is safe without subtracting the largest of each sample.
            weight = self.gates[level](features + shift).float().clamp(-20, 20).exp().to(features.dtype)
        else:
            weight = torch.ones_like(features[:, :1])
        if there is not None:
            weight = weight * there[:, None, None, None, None]
        total = features.new_zeros(samples, *features.shape[1:]).index_add(0, sample, features * weight)
        weights = weight.new_zeros(samples, *weight.shape[1:]).index_add(0, sample, weight)
        fused: Tensor = total / weights
        return fused


def build_fused(name: str, size: str, modalities: int, thick_slices: int, fusion: str) -> Encoder:
    """Return an encoder with random weights that takes ``modalities`` channels in the way of ``fusion``.

    ``replicate`` and ``reinitialise``: as channels of one stem, made of the single-channel one or new. ``adapter``: a
    1x1x1 convolution down to one channel. ``mean`` and ``gated``: each modality encoded alone by shared weights.

    Raises
    ------
    ConfigError
        If there is no encoder called ``name``.
    """
    if fusion in ("replicate", "reinitialise"):
        return build_encoder(name, size, modalities, thick_slices)
    single = build_encoder(name, size, 1, thick_slices)
    if fusion == "adapter":
        return AdaptedEncoder(single, modalities)
    return FusedEncoder(single, modalities, gated=fusion == "gated")


def pretrained_part(encoder: Encoder) -> Encoder:
    """Return the part of ``encoder`` that pretrained single-channel weights belong to."""
    return encoder.single if isinstance(encoder, FusedEncoder | AdaptedEncoder) else encoder


def encode(encoder: Encoder, volumes: Tensor, present: Tensor) -> list[Tensor]:
    """Return the pyramid of ``volumes`` ``(B, K, D, H, W)``, of which ``present`` ``(B, K)`` are there.

    Absent modalities are left out of a fusion. As channels of one stem they are 0, and the others are scaled up by
    the share that is absent, so that the stem sees its usual strength.
    """
    if isinstance(encoder, FusedEncoder):
        return encoder(volumes, present)  # type: ignore[no-any-return]
    return encoder(network_input(volumes, present))  # type: ignore[no-any-return]


def network_input(volumes: Tensor, present: Tensor) -> Tensor:
    """Return ``volumes`` scaled up by the share of channels that are absent, so that the stem sees its usual strength.

    Parameters
    ----------
    volumes
        ``(B, K, D, H, W)``, absent channels 0.
    present
        Whether each channel is there, ``(B, K)``; at least one a sample.
    """
    share = present.float().mean(dim=1).clamp(min=1 / present.shape[1])
    scaled: Tensor = volumes / share[:, None, None, None, None].to(volumes)
    return torch.where(present[:, :, None, None, None].to(volumes.device), scaled, torch.zeros_like(volumes))

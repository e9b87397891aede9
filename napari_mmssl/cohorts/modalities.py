"""Names of modalities: one canonical word each, and the spellings met in the wild. Nothing is guessed."""

import re
from collections.abc import Iterable

#: Canonical name to what it is, in the order in which people list them.
MODALITIES = {
    "t1": "T1-weighted MR",
    "t1ce": "T1-weighted MR after contrast agent",
    "t2": "T2-weighted MR",
    "flair": "fluid-attenuated inversion recovery MR",
    "pd": "proton-density MR",
    "t2star": "T2*-weighted MR",
    "swi": "susceptibility-weighted MR",
    "dwi": "diffusion-weighted MR",
    "adc": "apparent diffusion coefficient, computed from DWI",
    "hbv": "diffusion-weighted MR at a high b-value, measured or computed",
    "mt": "magnetisation-transfer MR",
    "mt0": "magnetisation-transfer MR, pulse off",
    "mt1": "magnetisation-transfer MR, pulse on",
    "t1ir": "T1-weighted inversion-recovery MR",
    "t1in": "T1-weighted gradient-echo MR, in phase",
    "t1out": "T1-weighted gradient-echo MR, out of phase",
    "t2spir": "T2-weighted MR with fat suppression (SPIR)",
    "dce": "dynamic contrast-enhanced MR",
    "asl": "arterial spin labelling MR",
    "mra": "MR angiography",
    "mr": "MR of a sequence that is not named",
    "ct": "computed tomography",
    "pet": "positron emission tomography",
    "us": "ultrasound",
}

#: Stands for the modality of a single file whose name does not tell.
UNKNOWN = "unknown"

#: Other spellings, as :func:`_plain` leaves them.
_ALIASES = {
    "t1": "t1w t1n t1native t1weighted mprage t1mprage",
    "t1ce": "t1c t1gd t1post t1wce t1wgd t1wpost t1contrast t1cw cet1 cet1w gdt1 gdt1w cegadoliniumt1w t1wgadolinium",
    "t2": "t2w t2weighted hrt2 t2tse",
    "flair": "t2f t2flair t2wflair flairw fla darkfluid",
    "pd": "pdw protondensity pdweighted",
    "t2star": "t2s t2starw t2sw",
    "swi": "swiw",
    "dwi": "dw diffusion",
    "adc": "adcmap",
    "hbv": "highb highbval highbvalue calcbval calcbvalue",
    "mt": "mtr mtw",
    "mt0": "mtoff",
    "mt1": "mton",
    "t1ir": "irt1",
    "t1in": "t1inphase t1dualin t1dualinphase",
    "t1out": "t1outphase t1outofphase t1dualout t1dualoutphase",
    "t2spir": "",
    "dce": "dcemri",
    "asl": "",
    "mra": "tof tofmra mratof",
    "mr": "mri",
    "ct": "",
    "pet": "fdgpet petfdg",
    "us": "ultrasound trus",
}
_BY_SPELLING = {spelling: name for name, aliases in _ALIASES.items() for spelling in (name, *aliases.split())}


def canonical(token: str) -> str | None:
    """Return the canonical name for a spelling such as ``"T1Gd"`` or ``"t2w"``; ``None`` if it is not known.

    Case and separators do not count; ``T2*`` is not ``T2``.
    """
    return _BY_SPELLING.get(_plain(token))


def in_order(names: Iterable[str]) -> list[str]:
    """Return ``names`` in the usual order of modalities, unknown ones last and sorted."""
    place = {name: n for n, name in enumerate(MODALITIES)}
    return sorted(names, key=lambda name: (place.get(name, len(place)), name))


def _plain(token: str) -> str:
    return re.sub(r"[^a-z0-9]", "", token.lower().replace("*", "star"))

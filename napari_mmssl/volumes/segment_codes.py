"""What a class is in the terms of DICOM-SEG: SNOMED CT codes (NCI's where SNOMED has none) by the name of the class.

Codes and meanings are those of DICOM PS3.16; ``tests/volumes/test_segment_codes.py`` compares them with pydicom's
tables. A name that is not here gets a code of a private scheme, as the standard allows: it names the class, and
claims nothing.
"""

import hashlib
import re
from dataclasses import dataclass

#: Private schemes begin with 99 (PS3.3, 8.2).
PRIVATE_SCHEME = "99MMSSL"


@dataclass(frozen=True)
class Code:
    """A coded concept: value, scheme and meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class SegmentCode:
    """Category and type of a segment, and the side where the name tells one."""

    category: Code
    kind: Code
    side: Code | None = None


ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
ALTERED = Code("49755003", "SCT", "Morphologically Altered Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}
_NCI = "NCIt"

#: Code, meaning, and what else the class is called. American spelling; names are brought to it first.
_ALTERED = (
    ("79654002", "Edema", "peritumoral edema", "peritumoural edema", "whole edema"),
    ("6574001", "Necrosis", "necrotic core", "necrotic", "necrotic tumor core"),
    ("C113842", "Enhancing Lesion", "enhancing tumor", "gd enhancing tumor", "enhancing"),
    ("C81175", "Non-Enhancing Lesion", "non enhancing tumor", "nonenhancing tumor", "non enhancing tumor core"),
    ("108369006", "Neoplasm", "tumor", "whole tumor", "tumor core", "gross tumor volume", "gtv"),
    ("52988006", "Lesion", "lesions", "ms lesion", "prostate lesion", "white matter lesion"),
    ("367643001", "Cyst"),
    ("4147007", "Mass"),
    ("27925004", "Nodule"),
    ("50960005", "Hemorrhage", "bleeding"),
)
_ANATOMY = (
    ("12738006", "Brain"),
    ("389080008", "White Matter"),
    ("389081007", "Gray Matter"),
    ("65216001", "Cerebrospinal Fluid", "csf"),
    ("35764002", "Brain ventricle", "ventricle", "ventricles"),
    ("113305005", "Cerebellum"),
    ("119238007", "Brain stem", "brainstem"),
    ("5366008", "Hippocampus"),
    ("42695009", "Thalamus"),
    ("11000004", "Caudate Nucleus", "caudate"),
    ("89278009", "Putamen"),
    ("14738005", "Globus Pallidus", "pallidum"),
    ("2748008", "Spinal cord"),
    ("51282000", "Vertebra", "vertebrae", "spine"),
    ("54735007", "Sacrum"),
    ("41216001", "Prostate", "gland", "whole gland", "prostate gland"),
    ("279706003", "Peripheral zone of the prostate", "peripheral zone", "pz"),
    ("399384005", "Transition zone of the prostate", "transition zone", "tz", "transitional zone"),
    ("10200004", "Liver"),
    ("78961009", "Spleen"),
    ("64033007", "Kidney", "kidneys"),
    ("15776009", "Pancreas"),
    ("69695003", "Stomach"),
    ("28231008", "Gallbladder"),
    ("15825003", "Aorta"),
    ("64131007", "Inferior vena cava", "postcava"),
    ("32764006", "Portal vein"),
    ("8993003", "Hepatic vein"),
    ("32849002", "Esophagus"),
    ("38848004", "Duodenum"),
    ("30315005", "Small Intestine", "small bowel"),
    ("71854001", "Colon"),
    ("34402009", "Rectum"),
    ("89837001", "Bladder", "urinary bladder"),
    ("23451007", "Adrenal gland"),
    ("35039007", "Uterus"),
    ("80891009", "Heart"),
    ("39607008", "Lung", "lungs"),
    ("71341001", "Femur"),
)
_SPELLINGS = {"tumour": "tumor", "oedema": "edema", "oesophagus": "esophagus", "grey": "gray", "haem": "hem"}


def segment_code(name: str) -> SegmentCode:
    """Return what DICOM calls a class of this name; one of a private scheme if it has no word for it."""
    words = _plain(name)
    side = None
    # "left kidney", "kidney left", "kidney_L": the organ has the code, the side is a modifier of it.
    for spelled, of in (("left", "left"), ("right", "right"), ("l", "left"), ("r", "right")):
        if spelled in words.split() and words not in _BY_NAME:
            words, side = " ".join(word for word in words.split() if word != spelled), SIDES[of]
            break
    if words in _BY_NAME:
        category, kind = _BY_NAME[words]
        return SegmentCode(category, kind, side)
    value = re.sub(r"[^A-Z0-9]+", "_", _plain(name).upper()).strip("_") or "CLASS"
    if len(value) > 16:
        value = f"{value[:9]}_{hashlib.sha256(name.encode()).hexdigest()[:6].upper()}"
    return SegmentCode(TISSUE, Code(value, PRIVATE_SCHEME, name[:64] or "class"))


def _plain(name: str) -> str:
    plain = " ".join(re.split(r"[\W_]+", name.lower())).strip()
    for british, american in _SPELLINGS.items():
        plain = plain.replace(british, american)
    return plain


_BY_NAME = {
    _plain(spelling): (category, Code(value, _NCI if value.startswith("C") else "SCT", meaning))
    for category, table in ((ALTERED, _ALTERED), (ANATOMY, _ANATOMY))
    for value, meaning, *others in table
    for spelling in (meaning, *others)
}

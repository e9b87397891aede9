"""Small cohorts as trees of names, and what was made of them in short."""

import numpy as np


def tree(root, names, write_nifti):
    """Write a small volume for each name; label maps hold 0 and 1."""
    for name in names.split():
        label = any(word in name.lower() for word in ("seg", "label", "mask", "truth"))
        write_nifti(root / name, dtype=np.uint8 if label else np.int16)
    return root


def found(cohort):
    """Case id to the file of each modality, and of the label map, as names."""
    return {
        case.id: {
            **{name: scan.path.name for name, scan in case.modalities.items()},
            **({"LABEL": case.label.path.name} if case.label else {}),
        }
        for case in cohort.cases
    }


def kinds(case):
    return [finding.kind for finding in case.findings]


def texts(case):
    return " | ".join(finding.text for finding in case.findings)


def found_names(case):
    return {name: scan.path.name for name, scan in case.modalities.items()}

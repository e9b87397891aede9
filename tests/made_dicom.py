"""Small DICOM series, written with pydicom tag by tag; every person in them is made up."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MR, CT, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4.1"
#: Must appear in nothing that leaves the reader.
NAME, PATIENT_ID = "Zyxwvut^Quirinus", "PID-8675309"
AXIAL = (1, 0, 0, 0, 1, 0)
SAGITTAL = (0, 1, 0, 0, 0, -1)


def oblique(rng):
    """Two random directions at right angles, as ImageOrientationPatient has them."""
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return tuple(float(value) for value in matrix[:, :2].T.ravel())


def places(n, orientation=AXIAL, step=3.0, origin=(-20.0, -30.0, 40.0)):
    """Positions of ``n`` slices ``step`` mm apart along their normal."""
    normal = np.cross(orientation[:3], orientation[3:])
    return [tuple(np.array(origin) + k * step * normal) for k in range(n)]


def dataset(
    pixels,
    position,
    *,
    orientation=AXIAL,
    series="1.2.3.4",
    study="1.2.3",
    number=1,
    spacing=(1.5, 2.0),
    modality="MR",
    slope=None,
    intercept=None,
    patient=PATIENT_ID,
    **tags,
):
    """Return one slice as a data set; ``tags`` are set as they are, ``None`` removes one."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CT if modality == "CT" else MR
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID = NAME, patient
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, series, modality
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [f"{value:.8g}" for value in position]
    ds.ImageOrientationPatient = [f"{value:.9g}" for value in orientation]
    ds.PixelSpacing = list(spacing)
    ds.SliceThickness = 3
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(pixels.dtype == np.int16)
    ds.PixelData = pixels.tobytes()
    if slope is not None:
        ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
    for keyword, value in tags.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return ds


def save(ds, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(folder, positions, rng, *, shape=(7, 5), start=0, shuffle=True, each=None, **same):
    """Write a slice per position under names in no order; return the pixels ``(z, y, x)`` in the order of positions.

    ``each(n)`` gives tags of slice ``n``; ``same`` those of all.
    """
    pixels = rng.integers(0, 1000, (len(positions), *shape)).astype(np.uint16)
    names = rng.permutation(len(positions)) if shuffle else np.arange(len(positions))
    for n, position in enumerate(positions):
        tags = {"number": n + 1, **same, **(each(n) if each else {})}
        save(dataset(pixels[n], position, **tags), folder / f"IM{start + int(names[n]):04d}.dcm")
    return pixels


def enhanced(pixels, positions, *, orientation=AXIAL, b_values=None, slopes=None, **tags):
    """Return a multi-frame data set with functional groups, a frame per position."""
    ds = dataset(pixels, positions[0], orientation=orientation, **tags)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ENHANCED_MR
    del ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, ds.SliceThickness
    ds.NumberOfFrames = len(positions)
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = list(orientation)
    measures.PixelSpacing, measures.SliceThickness = [1.5, 2.0], 3
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([plane]), Sequence([measures])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for n, position in enumerate(positions):
        frame, place, values, diffusion = Dataset(), Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [f"{value:.8g}" for value in position]
        frame.PlanePositionSequence = Sequence([place])
        values.RescaleSlope, values.RescaleIntercept = (1 if slopes is None else slopes[n]), 0
        values.RescaleType = "US"
        frame.PixelValueTransformationSequence = Sequence([values])
        if b_values is not None:
            diffusion.DiffusionBValue = float(b_values[n])
            frame.MRDiffusionSequence = Sequence([diffusion])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return ds


def structure_set(structures, *, series="1.2.3.4", kind="CLOSED_PLANAR"):
    """Return an RTSTRUCT data set; ``structures`` are (name, colour or None, contours ``(n, 3)`` in LPS mm)."""
    ds = dataset(np.zeros((1, 1), np.uint16), (0, 0, 0), modality="RTSTRUCT", series="1.2.3.9")
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    for keyword in ("PixelData", "Rows", "Columns", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        del ds[keyword]
    referenced, study, frame = Dataset(), Dataset(), Dataset()
    referenced.SeriesInstanceUID = series
    study.RTReferencedSeriesSequence = Sequence([referenced])
    frame.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([frame])
    described, drawn = [], []
    for n, (name, colour, contours) in enumerate(structures):
        item, roi = Dataset(), Dataset()
        # Numbers are names here, and need not follow any order.
        item.ROINumber = roi.ReferencedROINumber = 70 - n
        item.ROIName = name
        if colour is not None:
            roi.ROIDisplayColor = list(colour)
        roi.ContourSequence = Sequence([_contour(points, kind) for points in contours])
        described.append(item)
        drawn.append(roi)
    ds.StructureSetROISequence, ds.ROIContourSequence = Sequence(described), Sequence(drawn[::-1])
    return ds


def _contour(points, kind):
    contour = Dataset()
    contour.ContourGeometricType = kind
    contour.NumberOfContourPoints = len(points)
    contour.ContourData = [f"{value:.6g}" for value in np.ravel(points)]
    return contour

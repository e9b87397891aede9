"""The Planes widget: axial, coronal and sagittal slices, linked by a crosshair."""

"""The Segment widget: a label map drawn by a network, judged, corrected and saved."""

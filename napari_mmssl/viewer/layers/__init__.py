"""Volumes, cases and pictures as napari layers: where they lie, how they look, which way they face."""

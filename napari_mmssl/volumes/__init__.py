"""Volumes and label maps: where their voxels are, and how they are read and written."""

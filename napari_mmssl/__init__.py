"""Multi-modal self-supervised learning on 3-D medical images, in napari and on the command line."""

__version__ = "0.1.0"

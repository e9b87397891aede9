"""``python -m napari_mmssl`` is ``mmssl``."""

from napari_mmssl.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())

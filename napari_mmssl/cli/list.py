"""``mmssl list``."""

import argparse
import json

SUMMARY = "list objectives, recipes, encoders, tasks and layouts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    parser.add_argument("--json", action="store_true", help="print JSON alone")


def run(args: argparse.Namespace) -> int:
    """Print the catalogue."""
    from napari_mmssl.workflows.catalogue import read_catalogue

    catalogue = read_catalogue()
    if args.json:
        print(json.dumps(catalogue, indent=2))
        return 0
    for kind, entries in catalogue.items():
        print(kind)
        for entry in entries:
            print(f"  {entry['name']:<18} {entry['summary']}")
    return 0

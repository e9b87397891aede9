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
    longest = max(len(entry["name"]) for entries in catalogue.values() for entry in entries)
    for kind, entries in catalogue.items():
        print(kind)
        for entry in entries:
            print(f"  {entry['name']:<{longest}}  {entry['summary']}")
    return 0

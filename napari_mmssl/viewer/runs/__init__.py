"""The Runs widget, and how any widget starts, follows and ends a run."""

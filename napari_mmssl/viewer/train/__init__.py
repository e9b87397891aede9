"""The Train widget: what is trained, on what, for how long."""

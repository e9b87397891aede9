"""The use cases, one function each: what the command line and the viewer both call."""

"""Pure functions on arrays.

They take numpy arrays and torch tensors alike (through the array API), so that what a network is
trained with and what moves under the mouse in the viewer, which never imports torch, is one code.
"""

"""The Pretext widget: what a pretext task gives a network, and what the network makes of it."""

"""From prepared cases to the batches of patches that every objective and task is fed."""

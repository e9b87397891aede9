"""From weights and a case to a label map in the scanner's own space."""

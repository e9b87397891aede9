"""Cross-modal generation: losses and memory of adversarial training, streams of unpaired patches, the quality gate."""

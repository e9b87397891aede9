"""The Synthesis widget: a modality made of the others, beside the real one."""

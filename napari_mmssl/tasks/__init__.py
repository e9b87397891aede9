"""Downstream tasks: what is measured after pretraining."""

"""Cohorts of cases: how they lie on disk, what is odd about them, how they are split and prepared."""

"""The Cases widget: a cohort as a table, and one case after the other."""

"""The errors a person may meet; each message is one sentence they can act on."""


class MmsslError(Exception):
    """Base of every error that is caused by input, data or the machine, not by a defect.

    ``str(error)`` says what was met, what was wanted and what to do next. The command line
    prints it on one line and ends with :attr:`exit_code`; the viewer shows it as a notification.
    """

    exit_code = 2


class ReadError(MmsslError):
    """A file cannot be read as the volume, label map or weights it claims to be."""


class WriteError(MmsslError):
    """A file cannot be written as asked."""


class LayoutError(MmsslError):
    """A folder does not hold a cohort in any layout we know, or not the one asked for."""


class GeometryError(MmsslError):
    """Grids or affines are impossible, or do not fit each other."""


class ConfigError(MmsslError):
    """A setting is unknown, out of range, or in conflict with another."""


class CheckpointError(MmsslError):
    """Weights or a checkpoint are missing, damaged, or made for something else."""


class RunError(MmsslError):
    """A run folder is missing, taken, or of a newer version."""


class RunFailed(MmsslError):
    """A run started properly and could not be finished; the reason is in its ``status.json``."""

    exit_code = 1

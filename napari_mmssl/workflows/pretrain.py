"""Pretrain an encoder on a cohort."""

from pathlib import Path

from napari_mmssl.config import as_table
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.settings import PretrainSettings
from napari_mmssl.workflows.leaks import remember_people
from napari_mmssl.workflows.material import gather
from napari_mmssl.workflows.running import (
    Interruption,
    Listener,
    ignore,
    provenance,
    set_threads,
    starting,
    telling_progress,
)


def pretrain(
    settings: PretrainSettings,
    out: Path,
    *,
    resume: bool = False,
    listener: Listener = ignore,
    interruption: Interruption | None = None,
) -> RunFolder:
    """Pretrain into the run folder ``out`` and return it.

    Parameters
    ----------
    settings
        What to do; see :func:`napari_mmssl.workflows.configure.pretrain_settings`.
    out
        A folder that does not exist or is empty; with ``resume``, the folder of the run to go on with.
    listener
        Told of every event.
    interruption
        Watched between steps.

    Raises
    ------
    MmsslError
        If the cohort, the settings or ``out`` do not do.
    RunFailed
        If the training started and cannot go on.
    """
    material = gather(settings.cohort, settings.data, settings.seed, labelled=False)
    settings = material.settle(settings)
    with starting(out, "pretrain", as_table(settings), resume=resume) as run:
        from napari_mmssl.training.device import choose_device
        from napari_mmssl.training.loop import Loop
        from napari_mmssl.training.pretraining import Pretraining

        set_threads()
        device = choose_device(settings.device)
        tell = telling_progress(run, listener, len(material.train) + len(material.validation))
        train = material.prepare(material.train, with_label=False, progress=tell)
        validation = material.prepare(material.validation, with_label=False, progress=tell)
        trainee = Pretraining(settings, train, validation, device)
        run.write_provenance(provenance(material, parents=[]) | {"device": str(device)})
        if not resume:
            remember_people(run, "pretraining", material.cohort, train, validation)
        loop = Loop(run, trainee, settings, device, interruption or Interruption())
        for event in loop.events(resume=resume):
            listener(event)
    return run

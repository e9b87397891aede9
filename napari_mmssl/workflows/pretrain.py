"""Pretrain an encoder on a cohort."""

from pathlib import Path

from napari_mmssl.config import as_table
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.training.settings import PretrainSettings
from napari_mmssl.workflows.leaks import remember_people
from napari_mmssl.workflows.material import gather
from napari_mmssl.workflows.preparing import prepare
from napari_mmssl.workflows.running import (
    Interruption,
    Listener,
    ignore,
    provenance,
    set_threads,
    training,
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
    with training(out, "pretrain", as_table(settings), resume=resume) as (run, ranks):
        from napari_mmssl.training.device import choose_device
        from napari_mmssl.training.loop import Loop
        from napari_mmssl.training.pretraining import Pretraining

        set_threads()
        interruption = interruption or Interruption()
        listener = listener if ranks.is_first else ignore
        device = choose_device(settings.device, ranks.local_rank)
        ready = prepare(material, run, listener, ranks, interruption, with_label=False)
        trainee = Pretraining(settings, ready.train, ready.validation, device)
        run.write_provenance(provenance(ready.material, parents=[]) | {"device": str(device), "processes": ranks.world})
        if not resume and ranks.is_first:
            remember_people(run, "pretraining", material.cohort, ready.train, ready.validation)
        loop = Loop(run, trainee, settings, device, interruption, ranks)
        for event in loop.events(resume=resume):
            listener(event)
    return run

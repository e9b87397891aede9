"""Batches from loader processes, where something is in their way."""

import signal

import pytest
import torch
from torch.utils.data import Dataset

from napari_mmssl.training.feed import feed

resource = pytest.importorskip("resource", reason="POSIX limits")
_MIB = 1 << 20


class Batches(Dataset):
    """Batches of 2 MiB, all of whose numbers are that of the batch."""

    def __getitem__(self, step):
        return torch.full((2 * _MIB // 4,), float(step))


@pytest.fixture
def small_files():
    """Let no file, and so no piece of shared memory, be larger than 1 MiB, here and in all children."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("small_files")
def test_without_room_in_shared_memory_fewer_load_ahead_and_no_batch_is_lost():
    """A container has 64 MB of it; torch alone waits for such a batch for ever."""
    told = []

    found = [batch[0].item() for batch in feed(Batches(), 3, 8, workers=2, pin_memory=False, told=_into(told))]

    assert found == [3, 4, 5, 6, 7]
    assert [step for step, _ in told] == [3, 3]
    assert "batches of 2 loader processes; from step 3 on one loads ahead" in told[0][1]
    assert "batches of 1 loader processes; from step 3 on patches are cut between the steps" in told[1][1]
    assert "--shm-size" in told[1][1]


class Going:
    """A batch whose sender is gone by the time that it is fetched, the first time."""

    def __init__(self, step, flag):
        self.step, self.flag = step, flag

    def share_memory_(self):
        return self

    def pin_memory(self):
        return self

    def __reduce__(self):
        return _fetched, (self.step, self.flag)


def _fetched(step, flag):
    if step == 5 and not flag.exists():
        flag.touch()
        raise ConnectionRefusedError
    return Going(step, flag)


class Goings(Dataset):
    def __init__(self, flag):
        self.flag = flag

    def __getitem__(self, step):
        return Going(step, self.flag)


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loader_that_dies_while_its_batch_is_pinned_is_replaced(tmp_path, monkeypatch):
    """With a GPU batches are fetched by a thread of torch's, which ends there without saying why."""
    for name, value in {"is_available": True, "current_device_index": 0, "set_device_index": None}.items():
        monkeypatch.setattr(torch.accelerator, name, lambda *_, value=value: value)
    told = []

    batches = feed(Goings(tmp_path / "gone"), 3, 8, workers=1, pin_memory=True, told=_into(told))

    assert [batch.step for batch in batches] == [3, 4, 5, 6, 7]
    assert [step for step, _ in told] == [5]


def _into(told):
    return lambda step, text: told.append((step, text))

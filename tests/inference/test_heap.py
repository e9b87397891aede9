"""Freed memory goes back to the system."""

import psutil
import pytest
import torch

from napari_mmssl.inference.heap import HeapTrim, _malloc_trim


@pytest.mark.skipif(_malloc_trim() is None, reason="the C library of this system has no such call")
def test_memory_that_was_freed_is_given_back():
    resident = psutil.Process().memory_info
    trim = HeapTrim(1 << 20)
    trim()
    before = resident().rss
    blocks = [torch.ones(16 * 1024) for _ in range(2000)]  # 125 MiB, too small each to be mapped alone
    last = blocks[-1]  # at the top of the heap: what is free below it stays with the process
    del blocks
    assert resident().rss > before + (100 << 20)

    trim()

    assert resident().rss < before + (20 << 20)
    assert last.sum() == len(last)

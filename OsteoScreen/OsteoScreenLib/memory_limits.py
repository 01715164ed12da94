"""Telling that memory ran out from other errors; torch has a class for it on CUDA, and words everywhere else."""

from __future__ import annotations

#: How torch says that memory ran out: CUDA and MPS; cuBLAS and cuDNN, which allocate by themselves; the CPU on Linux
#: and macOS; the CPU on Windows.
_WORDS = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, the GPU's or the computer's."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)

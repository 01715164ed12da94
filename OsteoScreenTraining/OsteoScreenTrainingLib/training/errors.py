"""What can go wrong while training, as a sentence that says what to do next."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from OsteoScreenLib.errors import OsteoScreenError
from OsteoScreenLib.memory_limits import is_out_of_memory

from .checkpoints import find_checkpoint


class TrainingError(OsteoScreenError):
    """The training stopped; the sentence says why and what to do, and the last good checkpoint is kept."""


@contextlib.contextmanager
def told(run: Path, at: Callable[[], str] = str) -> Iterator[None]:
    """Turn what can happen to any run into a sentence with what to do next; ``at()`` begins it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"{_begin(at() + 'memory ran out')}; {_kept(run)}Use a smaller batch or more micro_batches."
        ) from error
    except OSError as error:
        if not run.is_dir():
            raise TrainingError(f"The run's folder {run} has vanished; put it back and use --resume.") from error
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingError(f"{_begin(at() + 'the disk is full')}; {_kept(run)}Make room and use --resume.") from error
    except FloatingPointError as error:
        raise TrainingError(
            f"{error}; {_kept(run)}Lower optimiser.learning_rate or set precision to float32, and use --resume."
        ) from error


def _begin(words: str) -> str:
    return words[:1].upper() + words[1:]


def _kept(run: Path) -> str:
    last = find_checkpoint(run)
    return f"the checkpoint {last} is kept. " if last else "there is no checkpoint yet. "

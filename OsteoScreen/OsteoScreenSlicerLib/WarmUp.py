"""Loading the networks ahead, so that Screen does not wait for them."""

from .Diagnostics import LOGGER


class WarmUp:
    """Has the worker process load the networks while the reader looks at the levels.

    :param worker: Worker.WorkerProcess.
    :param packages: Packages.
    :param tasks: Tasks.
    :param options: Options.PanelOptions.
    """

    def __init__(self, worker, packages, tasks, options):
        self._worker, self._packages, self._tasks, self._options = worker, packages, tasks, options
        self._loaded = None

    def start(self, parameterNode, names):
        """Load the networks for the levels ``names`` as they are chosen; faults are only logged.

        What is wrong is told when the user presses Screen.
        """
        if self._packages.missing() or self._worker.busy:
            return
        try:
            options = self._options.screening(parameterNode)
            key = (repr(options), tuple(names))
            if key == self._loaded and self._worker.running:
                return
            self._loaded = key
            self._worker.start(
                self._tasks.warmUp(options, names),
                lambda done: LOGGER.info("The networks are loaded, on %s.", done["device"]),
                lambda kind, text: LOGGER.warning("The networks were not loaded ahead: %s", kind),
            )
        except Exception as error:  # told when it is asked for
            LOGGER.warning("The networks were not loaded ahead: %s", type(error).__name__)

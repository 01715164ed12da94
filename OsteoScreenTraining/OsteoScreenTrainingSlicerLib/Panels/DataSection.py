"""Section 1: the data set, built, checked, split and looked at."""

import os

import numpy as np
import qt

from slicer.i18n import tr as _

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Views import showTable

from .. import Jobs, Plots
from .JobsSection import JobsSection, jobFolder

# Bins of the BMD plot, in mg/cm3: wide enough for a data set of some hundreds.
_BIN_MG_CM3 = 10.0


class DataSection(JobsSection):
    """Shows the data set, and has it built, checked and split."""

    JOBS = ("build", "check", "split")

    def __init__(self, panel):
        JobsSection.__init__(self, panel)
        ui = self.ui
        ui.dataFolderButton.connect("clicked()", lambda: self.chooseFolder(_("Choose a data set"), "dataFolder"))
        ui.buildButton.connect("clicked()", self.onBuild)
        ui.checkButton.connect("clicked()", self.onCheck)
        ui.splitButton.connect("clicked()", self.onSplit)
        ui.subjectsTableButton.connect("clicked()", self.onTable)
        ui.bmdPlotButton.connect("clicked()", self.onPlot)
        ui.findingsButton.connect("clicked()", self.onFindings)
        self._shown = None

    def update(self):
        """Describe the data set, again only where its manifest or splits changed."""
        folder = self.panel.parameterNode.dataFolder
        self._updateJobs(folder)
        self.ui.findingsButton.enabled = bool(folder) and os.path.isfile(self._findings(folder))
        state = self._stateOf(folder)
        if state == self._shown:
            return
        self._shown = state
        summary, problem = self.summary()
        self.ui.dataLabel.text = problem or _describe(summary)
        for button in (self.ui.subjectsTableButton, self.ui.bmdPlotButton):
            button.enabled = summary is not None

    def summary(self):
        """Return (the library's DataSetSummary, "") or (None, why there is none)."""
        folder = self.panel.parameterNode.dataFolder
        if not folder:
            return None, _("Choose the folder of a data set: it holds subjects.csv.")
        try:
            from OsteoScreenTrainingLib.control.summary import summarise

            return summarise(folder), ""
        except Exception as error:  # the reason stands where the description would
            return None, str(error)

    def onBuild(self):
        """Cut the slices."""
        self._start(_("Building"), "build", ["dataset", "build"])

    def onCheck(self):
        """Look for what is wrong; the page with the findings lies beside the data."""
        folder = self.panel.parameterNode.dataFolder
        self._start(_("Checking"), "check", ["dataset", "check"], ["-o", os.path.join(folder, "check")])

    def onSplit(self):
        """Write the split."""
        self._start(
            _("Splitting"), "split", ["dataset", "split"], ["--method", self.panel.parameterNode.split.engineName]
        )

    def onTable(self):
        """Show the subjects by bone status."""
        with self.attempt(_("The table could not be shown.")):
            summary = self._required()
            columns = {title: [row[index] for row in summary.rows] for index, title in enumerate(summary.columns)}
            showTable(Plots.showTable(_("Table 1"), columns))

    def onPlot(self):
        """Show the BMD by bone status."""
        with self.attempt(_("The plot could not be shown.")):
            summary = self._required()
            Plots.bring(bmdPlot(summary.bmd))

    def onFindings(self):
        """Open the page of the check in the browser."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._findings(self.panel.parameterNode.dataFolder)))

    @staticmethod
    def _findings(folder):
        return os.path.join(folder, "check", "index.html")

    def _start(self, what, name, command, more=()):
        folder = self.panel.parameterNode.dataFolder
        with self.attempt(_("{what} could not be started.").format(what=what)):
            if not folder:
                raise ModuleError(_("Choose the folder of a data set first."))
        self.startJob(what, [*command, folder, *more], jobFolder(folder, name))

    def _required(self):
        summary, problem = self.summary()
        if summary is None:
            raise ModuleError(problem)
        return summary

    def _updateJobs(self, folder):
        states = {name: Jobs.state(jobFolder(folder, name)) for name in self.JOBS} if folder else {}
        running = [name for name, state in states.items() if state.state == "running"]
        for name in self.JOBS:
            getattr(self.ui, f"{name}Button").enabled = bool(folder) and not running
        words = {"build": _("Building"), "check": _("Checking"), "split": _("Splitting")}
        lines = [self.describeJob(words[name], state) for name, state in states.items()]
        self.ui.dataJobLabel.text = "\n".join(line for line in lines if line)

    @staticmethod
    def _stateOf(folder):
        """Return what tells a data set from its earlier self: when its manifest, slices and splits were written."""
        times = []
        for name in ("subjects.csv", "slices", "splits", "dataset.json"):
            path = os.path.join(folder, name)
            times.append(os.path.getmtime(path) if folder and os.path.exists(path) else None)
        return folder, tuple(times)


def bmdPlot(bmd):
    """Plot the reference BMD (mg/cm3) by bone status as bars; return the chart node.

    :param bmd: {status: list of BMD}.
    """
    values = [value for group in bmd.values() for value in group]
    if not values:
        raise ModuleError(_("The data set has no reference BMD to show."))
    low = np.floor(min(values) / _BIN_MG_CM3) * _BIN_MG_CM3
    edges = np.arange(low, max(values) + 2 * _BIN_MG_CM3, _BIN_MG_CM3)
    axis = _("BMD (mg/cm3)")
    columns = {axis: edges[:-1] + _BIN_MG_CM3 / 2}
    columns.update({status: np.histogram(group, edges)[0] for status, group in bmd.items()})
    return Plots.showLines(_("BMD distribution"), columns, axis, (_("Reference BMD"), axis, _("subjects")), bars=True)


def _describe(summary):
    total = len(summary.subjects)
    lines = [_("{included} of {total} subjects are included.").format(included=summary.included, total=total)]
    lines += [f"{reason}: {count}" for reason, count in summary.excluded.items()]
    classes = ", ".join(f"{status} {len(values)}" for status, values in summary.bmd.items())
    lines.append(_("Bone status: {classes}.").format(classes=classes))
    lines.append(_("Slices are built.") if summary.built else _("Slices are not built yet: press Build slices."))
    splits = [_describeSplit(split) for split in summary.splits]
    lines += splits or [_("There is no split yet: press Split.")]
    return "\n".join(lines)


def _describeSplit(split):
    if split.problem:
        return _("Split {name} cannot be used: {problem}").format(name=split.name, problem=split.problem)
    parts = ", ".join(f"{part} {sum(classes.values())}" for part, classes in split.counts.items())
    return _("Split {name}: {parts}.").format(name=split.name, parts=parts)

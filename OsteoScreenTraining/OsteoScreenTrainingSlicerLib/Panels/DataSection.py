"""Section 1: the data set, built, checked, split and looked at, and outlines for it that are drawn in QuPath."""

import os
from dataclasses import replace

import numpy as np

import slicer
from slicer.i18n import tr as _

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Views import showTable

from .. import Drawings, Jobs, Plots
from .JobsSection import JobsSection, jobFolder

# Bins of the BMD plot, in mg/cm3: wide enough for a data set of some hundreds.
_BIN_MG_CM3 = 10.0


class DataSection(JobsSection):
    """Shows the data set, and has it built, checked and split, and drawn outlines imported."""

    def __init__(self, panel):
        JobsSection.__init__(self, panel)
        ui = self.ui
        # The section's jobs by the names of their folders: the button and the words.
        self._jobs = {
            "build": (ui.buildButton, _("Building")),
            "check": (ui.checkButton, _("Checking")),
            "split": (ui.splitButton, _("Splitting")),
            "export": (ui.exportSlicesButton, _("Exporting slices")),
            "import": (ui.importDrawingsButton, _("Importing outlines")),
        }
        ui.dataFolderButton.connect("clicked()", lambda: self.chooseFolder(_("Choose a data set"), "dataFolder"))
        ui.buildButton.connect("clicked()", self.onBuild)
        ui.checkButton.connect("clicked()", self.onCheck)
        ui.splitButton.connect("clicked()", self.onSplit)
        ui.drawingsFolderButton.connect(
            "clicked()", lambda: self.chooseFolder(_("Choose a folder for slices to draw on"), "drawingsFolder")
        )
        ui.exportSlicesButton.connect("clicked()", self.onExportSlices)
        ui.importDrawingsButton.connect("clicked()", self.onImportDrawings)
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
        self._start("build", lambda folder: ["dataset", "build", folder])

    def onCheck(self):
        """Look for what is wrong; the page with the findings lies beside the data."""
        self._start("check", lambda folder: ["dataset", "check", folder, "-o", os.path.join(folder, "check")])

    def onSplit(self):
        """Write the split."""
        method = self.panel.parameterNode.split.engineName
        self._start("split", lambda folder: ["dataset", "split", folder, "--method", method])

    def onExportSlices(self):
        """Write the slices of the CT that is chosen in OsteoScreen as pictures to draw on."""

        def arguments(_folder):
            logic, subject = slicer.util.getModuleLogic("OsteoScreen"), self.panel.parameterNode.drawingsSubject.strip()
            volume = logic.getParameterNode().inputVolume
            return Drawings.exportArguments(volume, logic.ctReader, self.chosen("drawingsFolder"), subject)

        self._start("export", arguments)

    def onImportDrawings(self):
        """Turn what was drawn in QuPath into outlines of the data set."""
        self._start("import", lambda folder: Drawings.importArguments(self.chosen("drawingsFolder"), folder))

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
        self.openOutside(self._findings(self.panel.parameterNode.dataFolder))

    @staticmethod
    def _findings(folder):
        return os.path.join(folder, "check", "index.html")

    def _start(self, name, arguments):
        """Start one of the section's jobs.

        :param arguments: makes its command line of the data set's folder.
        """

        def job():
            folder = self.chosen("dataFolder")
            return arguments(folder), jobFolder(folder, name)

        self.startJob(self._jobs[name][1], job)

    def _required(self):
        summary, problem = self.summary()
        if summary is None:
            raise ModuleError(problem)
        return summary

    def _updateJobs(self, folder):
        states = {name: Jobs.state(jobFolder(folder, name)) for name in self._jobs} if folder else {}
        free = bool(folder) and all(state.state != "running" for state in states.values())
        for button, _words in self._jobs.values():
            button.enabled = free
        if not self.panel.parameterNode.drawingsFolder:
            self.ui.exportSlicesButton.enabled = self.ui.importDrawingsButton.enabled = False
        lines = [self._describeJob(name, state) for name, state in states.items()]
        self.ui.dataJobLabel.text = "\n".join(line for line in lines if line)

    def _describeJob(self, name, state):
        if name == "import" and state.state in ("finished", "failed"):
            # What it printed says who was imported, and what was left out and why.
            state = replace(state, message="\n" + state.log_tail)
        return self.describeJob(self._jobs[name][1], state)

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
    axis = _("BMD (mg/cm³)")
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

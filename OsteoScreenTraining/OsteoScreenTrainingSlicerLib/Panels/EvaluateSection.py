"""Section 3: the trained network scored, the study, and the bundle with its card."""

import csv
import json
import os

import qt

import slicer
from slicer.i18n import tr as _

from OsteoScreenSlicerLib.Errors import ModuleError
from OsteoScreenSlicerLib.Views import showTable

from .. import Jobs, Plots
from .JobsSection import JobsSection

_STATUSES = ("normal", "osteopenia", "osteoporosis")


class EvaluateSection(JobsSection):
    """Scores the network of the run folder, runs the study, and exports the bundle."""

    def __init__(self, panel):
        JobsSection.__init__(self, panel)
        ui = self.ui
        ui.evaluationFolderButton.connect(
            "clicked()", lambda: self.chooseFolder(_("Choose a folder for the evaluation"), "evaluationFolder")
        )
        ui.studyFolderButton.connect(
            "clicked()", lambda: self.chooseFolder(_("Choose a folder for the study"), "studyFolder")
        )
        for button, handler in (
            (ui.evaluateButton, self.onEvaluate),
            (ui.casesTableButton, self.onTable),
            (ui.rocButton, self.onRoc),
            (ui.figuresButton, self.onFigures),
            (ui.studyButton, self.onStudy),
            (ui.studyPageButton, self.onStudyPage),
            (ui.exportButton, self.onExport),
            (ui.registerButton, self.onRegister),
        ):
            button.connect("clicked()", handler)

    def update(self):
        """Show what was scored, and what can be exported."""
        parameters = self.panel.parameterNode
        _state, progress = self.panel.train.look(parameters.runFolder)
        trained = progress is not None and progress.bundle is not None
        self._updateJob(
            parameters.evaluationFolder, self.ui.evaluateButton, self.ui.evaluationLabel, _("The evaluation"), trained
        )
        ready = bool(parameters.dataFolder)
        self._updateJob(parameters.studyFolder, self.ui.studyButton, self.ui.studyLabel, _("The study"), ready)
        cases = self._exists(parameters.evaluationFolder, "cases.csv")
        self.ui.casesTableButton.enabled = self.ui.figuresButton.enabled = cases
        self.ui.rocButton.enabled = cases and _isClassification(parameters.evaluationFolder)
        self.ui.studyPageButton.enabled = self._exists(parameters.studyFolder, "index.html")
        self.ui.exportButton.enabled = self.ui.registerButton.enabled = trained

    def onEvaluate(self):
        """Score the trained network."""

        def job():
            parameters, folder = self.panel.parameterNode, self.chosen("evaluationFolder")
            data = self.chosen("dataFolder")
            _state, progress = self.panel.train.look(parameters.runFolder)
            words = ["evaluate", progress.task, "--data", data, "--model", str(progress.bundle), "-o", folder]
            words += ["--device", parameters.device.engineName]
            if progress.task == "classification":
                words += ["--split", parameters.split.engineName]
            return words, folder

        self.startJob(_("Evaluating"), job)

    def onStudy(self):
        """Run the study, or what is left of it."""

        def job():
            parameters, folder = self.panel.parameterNode, self.chosen("studyFolder")
            words = ["study", "--data", self.chosen("dataFolder"), "-o", folder, "--profile", parameters.preset.profile]
            words += ["--split", parameters.split.engineName, "--device", parameters.device.engineName]
            return words, folder

        self.startJob(_("The study"), job)

    def onTable(self):
        """Show the cases of the evaluation in a table view."""
        with self.attempt(_("The table could not be shown.")):
            showTable(Plots.showTable(_("Evaluation"), self._cases()))

    def onRoc(self):
        """Show the ROC curves in a plot view."""
        with self.attempt(_("The ROC curves could not be shown.")):
            Plots.bring(rocPlot(self._cases()))

    def onFigures(self):
        """Open the folder of the evaluation."""
        self.openOutside(self.panel.parameterNode.evaluationFolder)

    def onStudyPage(self):
        """Open the study's page in the browser."""
        self.openOutside(os.path.join(self.panel.parameterNode.studyFolder, "index.html"))

    def onExport(self):
        """Ask for a file, and write the bundle."""
        title, kind = _("Export the bundle"), _("Model bundle (*.zip)")
        name = f"{self.panel.parameterNode.bundleName or 'bundle'}.zip"
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, kind)
        if path:
            self.export(path)

    def export(self, path):
        """Write the bundle with its card to a zip file."""
        with self.attempt(_("The bundle could not be exported."), waitCursor=True):
            from OsteoScreenTrainingLib.control.exporting import export_with_card

            written = export_with_card(self.panel.parameterNode.runFolder, self.card(), path)
            self.panel.run.say(_("✓ Exported {path}").format(path=written))

    def onRegister(self):
        """Add the bundle to those that OsteoScreen offers."""
        with self.attempt(_("The bundle could not be added."), waitCursor=True):
            self.logic.packages.ensure()
            from OsteoScreenTrainingLib.control.exporting import register

            bundle = register(self.panel.parameterNode.runFolder, self.card())
            self.panel.run.say(_("✓ OsteoScreen now offers {name}.").format(name=bundle.name))

    def card(self):
        """Return the card as it is filled in; what is empty keeps the run's own words."""
        parameters = self.panel.parameterNode
        filled = {
            "name": parameters.bundleName,
            "version": parameters.bundleVersion,
            "description": parameters.bundleDescription,
            "licence": parameters.bundleLicence,
        }
        return {key: value.strip() for key, value in filled.items() if value.strip()}

    def _updateJob(self, folder, button, label, what, ready):
        state = Jobs.state(folder) if folder else None
        button.enabled = ready and (state is None or state.state != "running")
        label.text = self.describeJob(what, state) if state is not None else ""

    def _cases(self):
        path = os.path.join(self.panel.parameterNode.evaluationFolder, "cases.csv")
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise ModuleError(_("The evaluation holds no case; evaluate again."))
        return {title: [row[title] or "" for row in rows] for title in rows[0]}

    @staticmethod
    def _exists(folder, name):
        return bool(folder) and os.path.isfile(os.path.join(folder, name))


def rocPlot(cases):
    """Plot the ROC curve of each bone status; return the chart node.

    :param cases: {title: list of text}, the columns of an evaluation's cases.csv.
    """
    judged = [index for index, value in enumerate(cases[_STATUSES[0]]) if value]
    if not judged:
        raise ModuleError(_("No subject of the evaluation was classified."))
    truth = [cases["class"][index] for index in judged]
    curves = {}
    for status in _STATUSES:
        scores = [float(cases[status][index]) for index in judged]
        curves[status] = Plots.rocCurve([name == status for name in truth], scores)
    return Plots.showCurves(_("ROC curves"), curves, (_("ROC"), _("false positive rate"), _("true positive rate")))


def _isClassification(folder):
    try:
        with open(os.path.join(folder, "summary.json"), encoding="utf-8") as file:
            return json.load(file).get("task") == "classification"
    except (OSError, ValueError):
        return False

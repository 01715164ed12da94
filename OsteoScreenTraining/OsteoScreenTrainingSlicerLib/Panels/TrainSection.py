"""Section 2: a training, started, followed, paused and resumed by its folder."""

import os

from slicer.i18n import tr as _

from .. import Jobs, Plots
from ..Parameters import NetworkChoice
from .JobsSection import JobsSection


class TrainSection(JobsSection):
    """Starts trainings and shows how they are. Closing the panel or Slicer does not end them."""

    def __init__(self, panel):
        JobsSection.__init__(self, panel)
        ui = self.ui
        ui.runFolderButton.connect("clicked()", lambda: self.chooseFolder(_("Choose a run folder"), "runFolder"))
        ui.startButton.connect("clicked()", self.onStart)
        ui.pauseButton.connect("clicked()", self.onPause)
        ui.resumeButton.connect("clicked()", self.onResume)
        ui.stopButton.connect("clicked()", self.onStop)
        ui.curveButton.connect("clicked()", self.onCurve)
        self._curveOf = ""

    def update(self):
        """Show the training in the run folder; its curve follows where it is shown."""
        folder = self.panel.parameterNode.runFolder
        state, progress = self.look(folder)
        running = state is not None and state.state == "running"
        started = progress is not None and progress.step > 0
        self.ui.startButton.enabled = bool(folder) and not running and not started
        self.ui.pauseButton.enabled = self.ui.stopButton.enabled = running
        self.ui.resumeButton.enabled = not running and progress is not None and progress.resumable
        self.ui.curveButton.enabled = started
        self.ui.trainProgressBar.value = round(1000 * _share(progress))
        self.ui.trainStateLabel.text = self._describe(folder, state, progress)
        if folder and folder == self._curveOf and started:
            self.showCurve(progress)

    def look(self, folder):
        """Return (job state, run progress) of a run folder; None for what is not there."""
        if not folder:
            return None, None
        from OsteoScreenTrainingLib.control.runs import read_run

        state = Jobs.state(folder)
        return state, read_run(folder) if os.path.isdir(folder) else None

    def onStart(self):
        """Start a new training."""

        def job():
            self.chosen("dataFolder")
            return self.arguments(), self.chosen("runFolder")

        self.startJob(_("Training"), job)

    def onResume(self):
        """Go on from the last checkpoint."""

        def job():
            folder = self.chosen("runFolder")
            _state, progress = self.look(folder)
            data = [str(each) for each in progress.data] or [self._data()]
            return ["train", progress.task, "--data", *data, "-o", folder, "--resume"], folder

        self.startJob(_("Training"), job)

    def onPause(self):
        """End in order after the current step."""
        with self.attempt(_("The training could not be paused.")):
            Jobs.pause(self.panel.parameterNode.runFolder)
            self.panel.run.say(_("The training ends after its current step; Resume goes on from there."))
        self.panel.updatePanel()

    def onStop(self):
        """End at once."""
        with self.attempt(_("The training could not be stopped.")):
            Jobs.kill(self.panel.parameterNode.runFolder)
            self.panel.run.say(_("Stopped; Resume goes on from the last checkpoint."))
        self.panel.updatePanel()

    def onCurve(self):
        """Show the learning curve in a plot view, and keep it up to date."""
        with self.attempt(_("The learning curve could not be shown.")):
            folder = self.panel.parameterNode.runFolder
            _state, progress = self.look(folder)
            Plots.bring(self.showCurve(progress))
            self._curveOf = folder

    def showCurve(self, progress):
        """Plot the loss, and DSC or AUC of the validations, against the step; return the chart node."""
        rows = progress.rows
        columns = {_("step"): rows["step"], _("loss"): rows["loss"]}
        columns.update({title: rows[column] for title, column in _scores(progress.task).items() if column in rows})
        titles = (_("Training"), _("step"), _("loss, {scores}").format(scores=_scoreName(progress.task)))
        return Plots.showLines(_("Learning curve"), columns, _("step"), titles)

    def arguments(self):
        """Return the command line of a new training as it is chosen."""
        parameters = self.panel.parameterNode
        network = parameters.network
        words = ["train", network.task, "--data", self._data(), "-o", parameters.runFolder]
        words += ["--preset", parameters.preset.engineName, "--device", parameters.device.engineName]
        if network is not NetworkChoice.SEGMENTATION:
            words += ["--model", network.kind]
        return words

    def _data(self):
        return self.panel.parameterNode.dataFolder

    def _describe(self, folder, state, progress):
        if not folder:
            return _("Choose a run folder: an empty one for a new training, or that of an earlier one.")
        lines = [self.describeJob(_("The training"), state)] if state is not None else []
        if progress is not None and progress.step:
            of = f" / {progress.steps}" if progress.steps else ""
            lines.append(_("Step {step}{of}, {minutes:.1f} min.").format(
                step=progress.step, of=of, minutes=progress.seconds / 60
            ))  # fmt: skip
            if progress.remaining_s is not None and state is not None and state.state == "running":
                lines.append(_("About {minutes:.0f} min left.").format(minutes=progress.remaining_s / 60))
            if progress.best_score is not None:
                lines.append(_describeBest(progress))
        return "\n".join(line for line in lines if line) or _("Nothing was trained here yet.")


def _scores(task):
    """Return what the learning curve shows beside the loss: the line's name and its column in the run's log."""
    if task == "segmentation":
        return {"DSC": "val_dsc_outline"}
    statuses = ("normal", "osteopenia", "osteoporosis") if task == "classification" else ()
    return {_("AUC {status}").format(status=status): f"val_auc_{status}" for status in statuses}


def _scoreName(task):
    return {"segmentation": "DSC", "classification": "AUC"}.get(task, _("score"))


def _describeBest(progress):
    """Return the best validation in words: a segmentation is judged by its DSC, a classification by its log loss."""
    if progress.task == "classification":
        text, value = _("Best validation: log loss {value:.3f}, at step {step}."), -progress.best_score
    else:
        text, value = _("Best validation: DSC {value:.3f} (mean of both passes), at step {step}."), progress.best_score
    return text.format(value=value, step=progress.best_step)


def _share(progress):
    """Return the share of the budget that is spent, 0 to 1; 0 where it is not known."""
    if progress is None or not progress.step:
        return 0.0
    bySteps = progress.step / progress.steps if progress.steps else 0.0
    byTime = progress.seconds / (60 * progress.minutes) if progress.minutes else 0.0
    return min(max(bySteps, byTime), 1.0)

"""From a data set to a network that OsteoScreen uses, by the panel's buttons."""

import csv
import json
import os
from unittest import mock

import slicer

from OsteoScreenTrainingSlicerLib import Plots
from OsteoScreenTrainingSlicerLib.Parameters import NetworkChoice, SplitChoice
from TrainingTestCase import TrainingTestCase

# A budget that no training spends before it is paused, however slow the machine is.
ENDLESS = 1_000_000


class TrainingTest(TrainingTestCase):
    """The whole way, on simulated subjects and with a very short training."""

    def test_from_a_data_set_to_a_network_that_osteoscreen_offers(self):
        data = self.simulatedDataSet()
        parameters = self.widget.parameterNode
        parameters.dataFolder = data
        self.assertIn("subjects are included", self.ui.dataLabel.text)
        self.assertIn("There is no split yet", self.ui.dataLabel.text)

        parameters.split = SplitChoice.RANDOM
        self.ui.splitButton.click()
        self.waitForJob(os.path.join(data, "jobs", "split"))
        self.assertIn("Split random: train", self.ui.dataLabel.text)
        self.assertFalse(self.ui.findingsButton.enabled)
        self.ui.checkButton.click()
        self.waitForJob(os.path.join(data, "jobs", "check"))
        self.assertTrue(self.ui.findingsButton.enabled)
        self.ui.subjectsTableButton.click()
        table = slicer.mrmlScene.GetFirstNode("Table 1", "vtkMRMLTableNode")
        self.assertGreater(table.GetNumberOfRows(), 3)
        self.ui.bmdPlotButton.click()
        chart = slicer.mrmlScene.GetFirstNode("BMD distribution", "vtkMRMLPlotChartNode")
        self.assertEqual(chart.GetNumberOfPlotSeriesNodes(), 3)

        run = parameters.runFolder = self.endless(self.place("run"))
        parameters.network = NetworkChoice.MODEL_2
        self.assertTrue(self.ui.startButton.enabled)
        self.assertIn("--preset", self.widget.train.arguments())
        with mock.patch.object(self.widget.train, "arguments", lambda: self.words(data, run)):
            self.ui.startButton.click()
        self.waitFor(lambda: self.widget.train.look(run)[1].step > 0, "the first step")
        self.widget.updatePanel()
        self.assertTrue(self.ui.pauseButton.enabled)
        self.assertFalse(self.ui.startButton.enabled)
        slicer.util.selectModule("OsteoScreen")
        self.assertEqual(self.logic.state(run).state, "running", "closing the panel does not end a training")
        slicer.util.selectModule("OsteoScreenTraining")
        self.ui.pauseButton.click()
        self.waitForJob(run, "paused")
        paused = self.widget.train.look(run)[1]
        self.assertTrue(self.ui.resumeButton.enabled)
        self.assertIsNone(paused.bundle)
        self.bound(run, paused.step + 20)
        self.ui.resumeButton.click()
        self.waitForJob(run)
        done = self.widget.train.look(run)[1]
        self.assertGreater(done.step, paused.step)
        self.assertEqual(self.ui.trainProgressBar.value, 1000)
        self.ui.curveButton.click()
        curve = slicer.mrmlScene.GetFirstNode("Learning curve", "vtkMRMLPlotChartNode")
        self.assertEqual(curve.GetNumberOfPlotSeriesNodes(), 4, "the loss, and the AUC of each bone status")
        self.assertIn("log loss", self.ui.trainStateLabel.text)
        auc = slicer.mrmlScene.GetFirstNode("Learning curve: AUC osteopenia", "vtkMRMLTableNode")
        self.assertTrue(0.0 <= float(auc.GetCellText(0, 1)) <= 1.0)
        loss = slicer.mrmlScene.GetFirstNode("Learning curve: loss", "vtkMRMLTableNode")
        self.assertGreater(loss.GetNumberOfRows(), 0)

        self.evaluate(run)
        self.export()

    def evaluate(self, run):
        """Score the trained network, and look at table and curves."""
        scores = self.widget.parameterNode.evaluationFolder = self.place("scores")
        self.ui.evaluateButton.click()
        self.waitForJob(scores)
        self.ui.casesTableButton.click()
        table = slicer.mrmlScene.GetFirstNode("Evaluation", "vtkMRMLTableNode")
        with open(os.path.join(scores, "cases.csv"), newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(table.GetNumberOfRows(), len(rows))
        self.ui.rocButton.click()
        chart = slicer.mrmlScene.GetFirstNode("ROC curves", "vtkMRMLPlotChartNode")
        self.assertEqual(chart.GetNumberOfPlotSeriesNodes(), 3)

    def export(self):
        """Export with a filled-in card, and offer the network in OsteoScreen."""
        parameters = self.widget.parameterNode
        parameters.bundleName, parameters.bundleDescription = "mine-from-slicer", "A test's network, of no use."
        with mock.patch.dict(os.environ, {"OSTEOSCREEN_MODELS": self.place("models")}):
            self.widget.evaluate.export(self.place("mine.zip"))
            self.assertIn("Exported", self.ui.statusLabel.text)
            self.ui.registerButton.click()
            self.assertIn("mine-from-slicer", self.ui.statusLabel.text)
            from OsteoScreenLib.models import list_bundles, load_bundle

            self.assertIn("mine-from-slicer", [bundle.name for bundle in list_bundles()])
            again = load_bundle(self.place("mine.zip"))
            self.assertEqual(again.description["description"], "A test's network, of no use.")
            self.assertEqual(again.sha256, load_bundle("mine-from-slicer").sha256)

    def words(self, data, run):
        """Return the command line of a training on the outlines that the simulation drew, which has to be paused."""
        path = self.place("classification.json")
        classification = {"model": "model2", "masks": "drawn"}
        network = {"parameters": {"in_channels": 1}}
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"task": "classification", "classification": classification, "network": network}, file)
        words = ["train", "classification", "--data", data, "-o", run, "--config", path]
        return [*words, "--steps", str(ENDLESS), "--batch", "8", "--threads", "1", "--device", "cpu"]

    def bound(self, run, steps):
        """Give a run's own configuration, by which it is resumed, another budget."""
        path = os.path.join(run, "config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        self.assertEqual(config["steps"], ENDLESS)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**config, "steps": steps}, file)


class JobsTest(TrainingTestCase):
    """What goes wrong is told, and nothing is lost."""

    def test_a_failed_job_tells_the_commands_own_reason(self):
        with open(self.place("subjects.csv"), "w", encoding="utf-8") as file:
            file.write("subject,ct\nA,nowhere.nii\n")
        self.widget.parameterNode.dataFolder = self.folder
        self.ui.buildButton.click()
        self.waitForJob(self.place("jobs", "build"), "failed")
        self.assertIn("✕ Building failed.", self.ui.dataJobLabel.text)
        self.assertNotIn("Traceback", self.ui.dataJobLabel.text)

    def test_a_killed_training_is_reported_and_can_be_resumed(self):
        data, run = self.simulatedDataSet(), self.endless(self.place("run"))
        words = ["train", "segmentation", "--data", data, "-o", run, "--steps", str(ENDLESS), "--batch", "2"]
        self.logic.start([*words, "--threads", "1", "--device", "cpu"], run)
        self.widget.parameterNode.dataFolder, self.widget.parameterNode.runFolder = data, run
        self.waitFor(lambda: os.path.isfile(os.path.join(run, "config.json")), "the start")
        self.ui.stopButton.click()
        self.waitForJob(run, "paused")
        self.assertIn("was paused", self.ui.trainStateLabel.text)

    def test_two_jobs_in_one_folder_are_refused(self):
        words = ["simulate", "cohort", "-o", self.place("data"), "--count", "200"]
        self.logic.start(words, self.place("job"))
        with self.assertRaisesRegex(Exception, "running"):
            self.logic.start(words, self.place("job"))
        from OsteoScreenTrainingSlicerLib import Jobs

        Jobs.kill(self.place("job"))
        self.waitFor(lambda: self.logic.state(self.place("job")).state != "running", "the end")

    def test_a_folder_that_is_no_data_set_says_what_to_do(self):
        self.widget.parameterNode.dataFolder = self.place("nothing")
        self.assertIn("subjects.csv", self.ui.dataLabel.text)
        self.assertFalse(self.ui.bmdPlotButton.enabled)


class PlotsTest(TrainingTestCase):
    """Curves as they are drawn."""

    def test_the_roc_curve_is_that_of_its_scores(self):
        false, true = Plots.rocCurve([True, False, True, False], [0.9, 0.8, 0.8, 0.1])
        self.assertEqual(list(zip(false, true, strict=True)), [(0, 0), (0, 0.5), (0.5, 1.0), (1.0, 1.0)])

    def test_a_line_leaves_missing_values_out_and_is_drawn_again_in_place(self):
        columns = {"step": [1, 2, 3], "loss": [0.5, 0.4, 0.3], "DSC": [float("nan"), 0.8, float("nan")]}
        for _time in range(2):
            Plots.showLines("Curve", columns, "step", ("Curve", "step", "loss"))
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode"), 1)
        series = slicer.util.getNodesByClass("vtkMRMLPlotSeriesNode")
        self.assertEqual([each.GetName() for each in series], ["loss", "DSC"], "as the legend shows them")
        table = slicer.mrmlScene.GetFirstNode("Curve: DSC", "vtkMRMLTableNode")
        self.assertEqual(table.GetNumberOfRows(), 1)

"""In and out of a PACS from the panel, against a real Orthanc; skipped with the reason where it is not installed."""

import glob
import os
import pathlib
import socket
import sys
import tempfile
import unittest

import slicer

from DicomPhantom import LATER, PATIENT, DicomTestCase, writeSeries
from OsteoScreenTestCase import L1_SLICE, L2_SLICE, OsteoScreenTestCase

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Python"))
import orthanc_process

FIELDS = ("pacsUserLineEdit", "pacsPasswordLineEdit", "patientIdLineEdit", "accessionLineEdit", "studyDateLineEdit")


class PacsTestCase(DicomTestCase):
    """A test with an empty database and an empty section."""

    def setUp(self):
        DicomTestCase.setUp(self)
        self.addCleanup(self.emptyFields)
        self.emptyFields()

    def emptyFields(self):
        self.widget.pacs.cancel()
        for name in FIELDS:
            getattr(self.ui, name).text = ""
        self.ui.serverComboBox.setEditText("")
        self.ui.keepCredentialsCheckBox.checked = self.ui.insecureHttpCheckBox.checked = False

    def use(self, url):
        self.ui.serverComboBox.setEditText(url)
        self.ui.pacsUserLineEdit.text, self.ui.pacsPasswordLineEdit.text = (
            orthanc_process.USER,
            orthanc_process.PASSWORD,
        )
        self.widget.pacs.update()

    def waitForPacs(self):
        self.waitFor(lambda: not self.widget.pacs.running, "the end of the transfer")
        self.settle()


class ServerTest(PacsTestCase):
    """What needs no server."""

    def test_without_an_address_nothing_can_be_asked_or_sent(self):
        self.assertTrue(self.ui.pacsCollapsibleButton.collapsed)
        for name in ("findStudiesButton", "fetchSeriesButton", "sendObjectsButton", "pacsCancelButton"):
            self.assertFalse(getattr(self.ui, name).enabled, name)
        self.assertIn("Give the server's address first", self.ui.sendObjectsButton.toolTip)

    def test_plain_http_over_a_network_wants_to_be_allowed(self):
        self.use("http://pacs.example.org/dicom-web")
        self.assertFalse(self.ui.findStudiesButton.enabled)
        self.assertIn("use https", self.ui.findStudiesButton.toolTip)
        self.assertNotIn("--", self.ui.findStudiesButton.toolTip)
        self.ui.insecureHttpCheckBox.checked = True
        self.assertTrue(self.ui.findStudiesButton.enabled)
        self.assertEqual(self.ui.findStudiesButton.text, "Find on pacs.example.org")

    def test_a_url_with_a_password_in_it_is_refused(self):
        self.use("https://me:secret@pacs.example.org/dicom-web")
        self.assertFalse(self.ui.findStudiesButton.enabled)
        self.assertIn("must not hold", self.ui.findStudiesButton.toolTip)
        self.assertIn("in the fields User and Password", self.ui.findStudiesButton.toolTip)

    def test_a_server_that_is_not_there_is_told_and_can_be_stopped(self):
        nobody = socket.socket()
        self.addCleanup(nobody.close)
        nobody.bind(("127.0.0.1", 0))  # a port that is taken, and where nobody listens
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        self.use(f"http://{address}/dicom-web")
        self.ui.findStudiesButton.click()
        self.assertTrue(self.ui.pacsCancelButton.enabled)
        self.assertFalse(self.ui.findStudiesButton.enabled)
        self.ui.pacsCancelButton.click()
        self.assertIn("Stopped", self.ui.pacsLabel.text)
        self.assertFalse(self.widget.pacs.running)
        self.ui.findStudiesButton.click()
        self.waitForPacs()
        self.assertIn(f"{address} cannot be reached", self.ui.pacsLabel.text)

    def test_a_scene_holds_nothing_of_the_section(self):
        self.use("https://pacs.example.org/dicom-web")
        self.ui.patientIdLineEdit.text = PATIENT
        self.settle()
        path = self.path("scene.mrml")
        self.assertTrue(slicer.util.saveScene(path))
        with open(path, encoding="utf-8") as file:
            scene = file.read()
        for secret in ("pacs.example.org", PATIENT, orthanc_process.USER + '"', orthanc_process.PASSWORD):
            self.assertNotIn(secret, scene)


@unittest.skipIf(orthanc_process.missing(), orthanc_process.missing())
class OrthancTest(PacsTestCase):
    """Against a real server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        running = orthanc_process.running(pathlib.Path(folder.name))
        cls.server = running.__enter__()
        cls.addClassCleanup(running.__exit__, None, None, None)

    def setUp(self):
        PacsTestCase.setUp(self)
        self.server.clear()
        self.addCleanup(self.server.clear)
        self.use(self.server.url)

    def fill(self):
        """Put a study on the server; return its series' UID."""
        uid = writeSeries(self.path("there"), LATER)
        for path in glob.glob(self.path("there/*.dcm")):
            with open(path, "rb") as file:
                self.server.take(file.read())
        return uid

    def find(self):
        self.ui.findStudiesButton.click()
        self.waitForPacs()

    def test_a_series_is_found_fetched_loaded_screened_and_its_objects_sent(self):
        uid = self.fill()
        self.ui.patientIdLineEdit.text = PATIENT
        self.find()
        self.assertEqual(self.ui.studiesTable.rowCount, 1)
        self.assertEqual(self.ui.studiesTable.item(0, 1).text(), PATIENT)
        self.ui.studiesTable.selectRow(0)
        self.waitForPacs()
        self.assertEqual(self.ui.seriesTable.item(0, 1).text(), "54")
        self.assertFalse(self.ui.fetchSeriesButton.enabled)
        self.ui.seriesTable.selectRow(0)
        self.ui.fetchSeriesButton.click()
        self.waitForPacs()
        volume = self.widget.parameterNode.inputVolume
        self.assertIsNotNone(volume)
        self.assertEqual(len(slicer.dicomDatabase.filesForSeries(uid)), 54)
        self.assertEqual(slicer.util.arrayFromVolume(volume).shape[0], 54)
        self.assertFalse(self.ui.sendObjectsButton.enabled, "there is no result yet")
        self.logic.screen(volume, l1=f"#{L1_SLICE}", l2=f"#{L2_SLICE}")
        self.settle()
        before = set(self.server.stored())
        host = self.server.url.split("/")[2]
        self.assertEqual(self.ui.sendObjectsButton.text, f"Send this result to {host}")
        self.ui.sendObjectsButton.click()
        self.waitForPacs()
        self.assertIn(f"objects are on {host}", self.ui.pacsLabel.text)
        sent = set(self.server.stored()) - before
        self.assertEqual(len(sent), 5, "SEG, SR, a capture of each level, PDF")
        self.ui.sendObjectsButton.click()
        self.waitForPacs()
        self.assertIn("was sent before", self.ui.pacsLabel.text)
        self.assertEqual(set(self.server.stored()) - before, sent)

    def test_nothing_is_sent_unasked(self):
        self.fill()
        before = set(self.server.stored())
        volume = self.screened()
        self.logic.decisions.accept(volume, "A. Reader")
        self.ui.databaseButton.click()
        self.waitUntilDone()
        self.find()
        self.assertEqual(set(self.server.stored()), before)

    def test_wrong_credentials_are_told_without_the_command_line_and_not_stored(self):
        self.ui.pacsPasswordLineEdit.text = "wrong"
        self.ui.keepCredentialsCheckBox.checked = True
        self.find()
        self.assertIn("does not accept the credentials", self.ui.pacsLabel.text)
        self.assertIn("give user and password.", self.ui.pacsLabel.text)
        self.assertNotIn("osteoscreen pacs", self.ui.pacsLabel.text)
        self.assertEqual(self.ui.pacsPasswordLineEdit.text, "wrong")

    def test_no_study_and_a_bad_date_are_told(self):
        self.ui.patientIdLineEdit.text = "NOBODY"
        self.find()
        self.assertIn("No study with CT fits", self.ui.pacsLabel.text)
        self.ui.studyDateLineEdit.text = "1.4.2026"
        self.find()
        self.assertIn("YYYYMMDD", self.ui.pacsLabel.text)

    def test_the_log_names_no_patient_and_no_password(self):
        self.fill()
        self.ui.patientIdLineEdit.text = PATIENT
        self.find()
        text = "\n".join(self.logic.recentLog.lines)
        for secret in (PATIENT, orthanc_process.PASSWORD):
            self.assertNotIn(secret, text)


class HeadlessTest(OsteoScreenTestCase):
    """The logic alone."""

    def test_half_of_the_credentials_is_told_before_anything_is_asked(self):
        from OsteoScreenSlicerLib.Errors import ModuleError
        from OsteoScreenSlicerLib.Pacs import PacsAccess

        with self.assertRaisesRegex(ModuleError, "Give the password too"):
            PacsAccess("https://host/dicom-web", user="me").message("pacs_find")

"""Section 1: what matters of the scan, and whether it may be screened."""

import slicer
from slicer.i18n import tr as _

from ..StudyNodes import probabilityMaps
from ..Volumes import harden, isHardenable
from .CheckTable import showChecks, summary
from .Section import Section


class ScanSection(Section):
    """Shows the acquisition and the eligibility of the chosen CT. Labels show plain text: a header is no markup."""

    def __init__(self, panel):
        Section.__init__(self, panel)
        self._shown = None
        self.ui.hardenButton.connect("clicked()", self.onHarden)

    def update(self):
        """Describe the CT, unless it is described already."""
        volume = self.panel.volumeNode
        hidden = [node.GetID() for node in probabilityMaps(slicer.mrmlScene)]
        self.ui.inputSelector.sortFilterProxyModel().hiddenNodeIDs = hidden
        self.ui.hardenButton.visible = isHardenable(volume)
        if volume is None:
            self._shown = None
            self._explain(_("Choose a CT above; load one with Add Data or from the DICOM database."))
            return
        age, sex = self.panel.parameterNode.ageYears or None, self.panel.parameterNode.sex.engineName
        image, transform = volume.GetImageData(), volume.GetParentTransformNode()
        imageTime = image.GetMTime() if image is not None else 0
        state = (volume.GetID(), imageTime, transform.GetID() if transform is not None else "", age, sex)
        if state != self._shown:
            self._describe(volume, age, sex)
            self._shown = state

    def onHarden(self):
        """Harden the CT's linear transform."""
        with self.attempt(_("The transform could not be hardened.")):
            harden(self.panel.volumeNode)
        self.panel.updatePanel()

    def _describe(self, volume, age, sex):
        try:
            ct, checks = self.logic.describe(volume, age, sex)
        except Exception as error:  # the reason stands where the description would
            self._explain(str(error))
            return
        self.ui.scanLabel.text = " · ".join(_facts(ct, age, sex))
        self.ui.eligibilityLabel.text = summary(checks)
        showChecks(self.ui.eligibilityTable, checks)

    def _explain(self, text):
        self.ui.scanLabel.text = text
        self.ui.eligibilityLabel.text = ""
        showChecks(self.ui.eligibilityTable, [])


def _facts(ct, age, sex):
    """Return what matters of the scan; ``age`` and ``sex`` are the user's, and go before the header's."""
    said = ct.acquisition
    slices, rows, columns = ct.geometry.shape
    age, sex = said.age_years if age is None else age, said.sex if sex is None else sex
    thickness = said.slice_thickness_mm
    facts = [
        _("{kvp:g} kVp").format(kvp=said.kvp) if said.kvp is not None else _("kVp not known"),
        _("{mm:g} mm thick").format(mm=thickness) if thickness is not None else _("thickness not known"),
        _("kernel {kernel}").format(kernel=said.kernel) if said.kernel else _("kernel not known"),
        {True: _("with contrast"), False: _("without contrast"), None: _("contrast not known")}[said.contrast],
        _("age {age:g}").format(age=age) if age is not None else _("age not known"),
        {"F": _("female"), "M": _("male")}.get(sex, _("sex not known")),
        _("{slices} slices of {columns} × {rows}, {step:.2f} mm apart").format(
            slices=slices, columns=columns, rows=rows, step=ct.geometry.spacing_mm[2]
        ),
    ]
    return facts + ([said.manufacturer] if said.manufacturer else [])

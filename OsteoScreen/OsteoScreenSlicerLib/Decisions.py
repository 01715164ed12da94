"""What the reader makes of a result in the scene: accepted, corrected or discarded, by whom and when.

A correction is told against the result as it was before the reader moved a level or edited an outline and had it
measured again; that one is kept beside the new result, with the decisions on it.
"""

import json

from slicer.i18n import tr as _

from .Errors import ModuleError
from .Levels import StudyLevels
from .Results import StudyResult, documentOf, levelsNow
from .StudyNodes import LEVEL_NAMES

DECISIONS = ACCEPTED, CORRECTED, DISCARDED = "accepted", "corrected", "discarded"
# Marks, on a result's node, which outline of a level was measured.
_MEASURED = "OsteoScreen.measured.{}"


class DecisionLogic:
    """Decides on results of the scene, for the panel and for scripts.

    :param classification: Networks.ClassificationLogic, which knows the outlines that were measured.
    :param followUp: FollowUp.FollowUpLogic, which compares the patient's results anew.
    """

    def __init__(self, classification, followUp):
        self._classification = classification
        self._followUp = followUp

    def accept(self, volumeNode, by, comment="", names=LEVEL_NAMES):
        """Sign the result as it is; its levels count as confirmed. Returns the engine's ScreeningResult.

        :param by: the reader's name.
        :param names: the levels that are used in the scene.
        :raises ModuleError: why it cannot be signed. OsteoScreenError from the engine likewise.
        """
        return self._decide(ACCEPTED, volumeNode, by, comment, names)

    def correct(self, volumeNode, by, comment="", names=LEVEL_NAMES):
        """Sign the result as the reader's correction of the one before; otherwise as ``accept``."""
        return self._decide(CORRECTED, volumeNode, by, comment, names)

    def discard(self, volumeNode, by, comment=""):
        """Discard the result: it stays for the record, and everything says not to use it. Otherwise as ``accept``."""
        return self._decide(DISCARDED, volumeNode, by, comment, LEVEL_NAMES)

    def whyNot(self, volumeNode, names=LEVEL_NAMES):
        """Return {decision: why it cannot be made now, in words, empty where it can}."""
        document = StudyResult(volumeNode).document() if volumeNode is not None else None
        if document is None:
            return dict.fromkeys(DECISIONS, _("There is no result to decide on yet; press Screen first."))
        if document["status"] != "screened":
            return dict.fromkeys(DECISIONS, _("The study was refused, so there is no result to decide on."))
        edited = self._classification.editedSince(volumeNode, document)
        old = StudyResult(volumeNode).remeasure(levelsNow(volumeNode, names), edited)
        if old:
            told = _("{reasons} Press Measure and classify first, so that what is signed is what was measured.")
            reason = told.format(reasons=" ".join(old))
            return {ACCEPTED: reason, CORRECTED: reason, DISCARDED: ""}
        changes = changed(volumeNode)
        told = _("You changed {changes} since the result before, so sign this one as corrected.")
        nothing = _(
            "Nothing is corrected yet: move a level or edit an outline, press Measure and classify, and sign that."
        )
        return {
            ACCEPTED: told.format(changes=", ".join(changes)) if changes else "",
            CORRECTED: "" if changes else nothing,
            DISCARDED: "",
        }

    def _decide(self, decision, volumeNode, by, comment, names):
        from OsteoScreenLib import decisions
        from OsteoScreenLib.results_io import assemble

        reason = self.whyNot(volumeNode, names)[decision]
        if reason:
            raise ModuleError(reason)
        study = StudyResult(volumeNode)
        result = assemble(study.document())
        if decision == CORRECTED:
            decided = _corrected(result, study, by, comment)
        else:
            act = decisions.accept if decision == ACCEPTED else decisions.discard
            decided = act(_withHistory(result, study), by, comment=comment)
        self._keep(study, decided, confirm=decision != DISCARDED)
        return decided

    def _keep(self, study, result, confirm):
        from OsteoScreenLib.results_io import to_dict

        if confirm:
            levels = StudyLevels(study.volumeNode)
            for name in result.levels:
                levels.confirm(name, True)
        study.write(to_dict(result), study.studyDate())
        self._followUp.refresh(study.volumeNode)


def keepBefore(volumeNode, document):
    """Keep the result that ``document`` (dict) is about to replace, where a correction is to be told against it.

    That is the first one, or the last one that a reader decided on; of another scan than the new one there is none.
    """
    study = StudyResult(volumeNode)
    old, before = study.document(), documentOf(study.nodes.before)
    if old is None or not _ofOneScan(old, document):
        study.nodes.remove("before")
    elif before is None or old.get("decisions") or not _ofOneScan(before, document):
        node = study.nodes.keepText("before", _("result before"), json.dumps(old, ensure_ascii=False))
        for name in LEVEL_NAMES:
            key = _MEASURED.format(name)
            node.SetAttribute(key, study.nodes.result.GetAttribute(key))


def changed(volumeNode):
    """Return what the reader changed since the result before, such as "level L1"; empty once that was decided on."""
    study = StudyResult(volumeNode)
    document, before = study.document(), documentOf(study.nodes.before)
    if document is None or before is None or document.get("decisions"):
        return []
    slices = {name: level["slice_index"] for name, level in before["levels"].items()}
    moved = [name for name, level in document["levels"].items() if slices.get(name) != level["slice_index"]]
    changes = [_("level {level}").format(level=name) for name in moved]
    return changes + [_("outline {level}").format(level=name) for name in _redrawn(study, document)]


def _redrawn(study, document):
    """Return the levels that were measured on an outline of the reader's which the result before was not."""
    own = [name for name, roi in document["roi"].items() if roi["mask_source"] == "user"]
    now, before = study.nodes.result, study.nodes.before
    return [
        name for name in own if now.GetAttribute(_MEASURED.format(name)) != before.GetAttribute(_MEASURED.format(name))
    ]


def _corrected(result, study, by, comment):
    """Return ``result`` signed as the correction of the one before; how its levels were counted stays its own."""
    from dataclasses import replace

    from OsteoScreenLib import decisions
    from OsteoScreenLib.results_io import assemble

    old = assemble(documentOf(study.nodes.before))
    redrawn = _redrawn(study, study.document())
    signed = decisions.corrected(result, old, by, comment=comment, outlines=redrawn)
    numbering = result.numbering or signed.numbering
    bundles = signed.bundles if result.numbering is None else result.bundles
    return replace(signed, numbering=numbering, bundles=bundles, follow_up=result.follow_up)


def _withHistory(result, study):
    """Return the result with the decisions on the one before in front, where it has none of its own yet."""
    from dataclasses import replace

    from OsteoScreenLib.results_io import assemble

    before = documentOf(study.nodes.before)
    if result.decisions or before is None:
        return result
    return replace(result, decisions=assemble(before).decisions)


def _ofOneScan(one, other):
    return one["input"]["sha256"] == other["input"]["sha256"]

"""The engine's sentences for the panel: where they name an option of the command line, the panel's own control."""

import re

from slicer.i18n import tr as _


def inPanel(text):
    """Return a sentence of the engine with the panel's controls in place of the command line's options."""
    for pattern, words in _RULES:
        text = re.sub(pattern, words(), text)
    return text


# The words are made when they are shown, because the translation may be loaded later than this file.
_RULES = (
    (r"with --age\b", lambda: _("in the field Age")),
    (r"with --sex\b", lambda: _("in the field Sex")),
    (r"with --calibration\b", lambda: _("under Models and calibration")),
    (r"give (the|a) mask with --masks\b", lambda: _("with Edit outlines")),
    (r"give your own outlines with --masks\b", lambda: _("draw the outlines with Edit outlines")),
    (r"give it again with --masks\b", lambda: _("draw it again with Edit outlines")),
    (r"leave --masks out\b", lambda: _("press Outline")),
    (r"use --snap\b", lambda: _("press Snap to centre")),
    (r"with --force\b", lambda: _("by ticking Screen even if a check refuses the CT")),
    (r"choose --device auto or cpu\b", lambda: _("choose the device Automatic or CPU")),
    (r"try --device cpu\b", lambda: _("try the device CPU")),
    (r"To take another, give --series with one of: .*", lambda: _("To take another, load it into Slicer.")),
    (r"add one with `osteoscreen models import PATH`, name one with --(segmentation|localisation)-model",
     lambda: _("import one under Models and calibration")),
    (r", or have it suggested with --l1=auto", lambda: _(", or press Suggest")),
    (r"with --(classification|segmentation|localisation)-model\b", lambda: _("under Models and calibration")),
    (r"\(--l1=-812\.5 in mm, or --l1=#123\)", lambda: _("(section 2)")),
    (r"with --l1 and --l2\b|with --l1 \(and --l2\)|with --l[12]\b", lambda: _("in section 2")),
    (r", such as --l[12]=-812\.5 or --l[12]=#123", lambda: _(" in section 2")),
    # Where a vertebra's name is one further up, the names have gone down, which is what the reader sees.
    (r"one vertebra further up has", lambda: _("one vertebra lower has")),
    (r"one vertebra further down has", lambda: _("one vertebra higher has")),
    (r"with --levels-from\b", lambda: _("with From segmentation")),
    (r"Say where the scan lies now with --ct\b", lambda: _("Load the scan into Slicer")),
    (r"fetch it with `osteoscreen pacs fetch`, and say where it lies with --ct\b",
     lambda: _("load it into Slicer from there")),
    (r"accept the result as its reader \(osteoscreen decide --accept\), or correct the level \(--correct\)",
     lambda: _("accept the result as its reader, or correct the level")),
    (r"give that one with --ct\b", lambda: _("choose that one")),
    (r"measure it with --correct --masks\b", lambda: _("measure it anew")),
    (r"\bname (a PEM file|that authority's certificate) with --ca-file or (\S+)\b",
     lambda: _("name it with `osteoscreen pacs add`, or in the environment variable REQUESTS_CA_BUNDLE")),
    (r", or say --insecure-http where that network is trusted",
     lambda: _(", or tick Allow plain http where that network is trusted")),
    (r"store them with `osteoscreen pacs login \S+`, or set OSTEOSCREEN_DICOMWEB_USER and "
     r"OSTEOSCREEN_DICOMWEB_PASSWORD, or OSTEOSCREEN_DICOMWEB_TOKEN", lambda: _("give user and password")),
    (r"leave them out, and store them with `osteoscreen pacs login URL` or give them by OSTEOSCREEN_DICOMWEB_USER and "
     r"_PASSWORD", lambda: _("leave them out, and give them in the fields User and Password")),
    (r"store it again with `osteoscreen pacs login \S+`", lambda: _("give user and password, and store them again")),
    (r", or give --timeout", lambda: ""),
)  # fmt: skip

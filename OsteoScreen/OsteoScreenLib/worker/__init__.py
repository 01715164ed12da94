"""The engine in a process of its own, for programs that cannot have PyTorch in theirs: 3D Slicer above all.

``python -m OsteoScreenLib.worker``, with the engine's parent folder on the path, reads one JSON object per line from
stdin and answers with one JSON object per line on stdout; both are UTF-8, and the worker writes ASCII with escapes.
What libraries print goes to stderr, which the caller has to read. The end of stdin ends the worker at once, also while
it computes.

The first line is the worker's own, before anything heavy is imported::

    {"hello": "osteoscreen-worker/1", "python": "3.12.1", "pid": 4711}

A message has an "id", which its answers repeat, and says what to "do". Messages are worked on in their order. Each is
answered by any number of ``{"id": 2, "progress": ["Outlining and measuring", 0, 2]}`` (step, done, total) and then by
one ``{"id": 2, "done": {...}}`` or ``{"id": 2, "error": {"kind": "InputError", "message": "What is wrong; what to
do."}}``. A line that is no message is answered with the id null.

**warm_up** imports PyTorch, and loads and runs both networks, so that the first screening does not wait for them::

    {"id": 1, "do": "warm_up", "options": {"segmentation_model": null, "classification_model": null,
                                           "levels": ["L1", "L2"], "device": "auto"}}
    {"id": 1, "done": {"device": "cpu", "torch": "2.13.0"}}

**open** reads a CT from where it lies, as the command line would, and writes its HU, in canonical orientation, into a
folder; "series" chooses a DICOM series. The answer's "ct" is what the other messages take::

    {"id": 7, "do": "open", "path": "/archive/4711", "series": null, "folder": "/path/for/ct"}
    {"id": 7, "done": {"ct": {"array": "/path/for/ct/ct-0f3a.npy", "ijk_to_ras": [[...], ...], ...}}}

**suggest** finds and names the vertebrae of the whole scan, and the levels among them, for a reader to confirm. It
takes about five seconds and a gigabyte, so that warm_up leaves it aside::

    {"id": 5, "do": "suggest", "ct": {...}, "levels": ["L1", "L2"],
     "options": {"localisation_model": null, "device": "auto"}}
    {"id": 5, "done": {"numbering": {...}, "levels": {"L1": {"slice_index": 12, "z_mm": -291.5}},
                       "refused": {"L2": "L2 is cut by the end of the scan."}, "probability": 0.98,
                       "vertebrae": [{"name": "L1", "probability": 0.98, "up": ["T12", 0.02], "down": ["L2", 0.0],
                                      "centre": [x, y, z], "upper": [x, y, z], "lower": [x, y, z], "whole": true,
                                      "ribs": [0.0, 0.0]}],
                       "device": "cpu", "bundle": {"role": "localisation", ...}}}

"numbering" is that of a `result.json`, "probability" that of its naming as a whole; "vertebrae" are as in
:mod:`OsteoScreenLib.localisation.spine`, in RAS mm, from head to foot, and none where no name is to be trusted.
:mod:`.suggested` reads and writes them.

**outline** outlines the levels, **screen** screens the study. Both take the same message, and outline leaves aside the
options that it has no use for::

    {"id": 2, "do": "screen",
     "ct": {"array": "/path/ct.npy", "ijk_to_ras": [[...], [...], [...], [0, 0, 0, 1]], "acquisition": {...} or null,
            "findings": [{"check": "", "outcome": "pass", "message": "", "value": null}], "path": "",
            "kind": "memory", "series_instance_uid": null},
     "levels": {"L1": {"slice_index": 12, "set_by": "user", "confirmed": true}},
     "masks": {"L1": "/path/l1.npy"},
     "suggested": {"numbering": {...}, "bundle": {...}} or null,
     "options": {"segmentation_model": null, "classification_model": null, "calibration": null, "age_years": null,
                 "sex": null, "device": "auto", "force": false},
     "folder": "/path/for/outlines"}
    {"id": 2, "done": {"result": {...},
                       "outlines": {"L1": {"slice_index": 12, "mask": "/path/for/outlines/L1-mask-0f3a.npy",
                                           "probability": "/path/for/outlines/L1-probability-0f3a.npy" or null,
                                           "confidence": 0.8}},
                       "precision_mg_cm3": null,
                       "device": "cpu", "bundle": {"role": "segmentation", "name": "", "version": "", "sha256": ""}}}

"precision_mg_cm3" is the facility's own precision error, where its calibration file states it. The array of "ct" is
(slices, rows, columns) HU in any orientation, which "ijk_to_ras" (column, row, slice, 1 to RAS mm) tells; "slice_index"
counts in the canonical CT (:mod:`OsteoScreenLib.ct`), and masks are (rows, columns) bool on the canonical slice. Levels
without a mask are outlined by the network; "masks", "options" and each option may be null or left out. "suggested", for
screen, is what suggested levels rest on, as "suggest" answered it or a reader moved the names since. "result" is a
`result.json` document (absent for outline); a study that must not be screened is a result with the status "refused",
not an error. "outlines" holds the levels that were outlined and measured, the user's with a probability of null.
"bundle" is the segmentation bundle, null where it took no part.

**report** writes the page of a screening, as the command line does::

    {"id": 3, "do": "report", "ct": {...}, "result": {...}, "outlines": {...}, "to": "/path/report.html"}
    {"id": 3, "done": {"written": "/path/report.html"}}

**write** writes a screening as what `screen --write` names, :mod:`OsteoScreenLib.reports.kinds`, into the folder "to".
"files" are those of the DICOM series, where the CT came as an array; without them it gives no DICOM objects. What the
study cannot give stands in "unwritten" with the reason, and is an error where it is all that was asked for::

    {"id": 6, "do": "write", "ct": {...}, "result": {...}, "outlines": {...}, "kinds": ["dicom", "fhir"],
     "files": ["/ct/1.dcm"], "to": "/path/kept"}
    {"id": 6, "done": {"written": {"fhir": ["/path/kept/fhir.json"], "sr": ["/path/kept/sr.dcm"]},
                       "unwritten": {"seg": "The study was refused, so there is no outline to write."}}}

**pacs_find**, **pacs_series**, **pacs_fetch** and **pacs_send** talk to the DICOMweb server that the message names, and
to no other; see :mod:`.talking` for what they take and give.

**forget** lets go of the last CT (``{"id": 4, "do": "forget"}``, ``{"id": 4, "done": {}}``): the worker keeps its array
mapped until another CT comes, and on Windows a mapped file cannot be removed.

Kinds of errors: "UsageError", "InputError", "BundleError", "SegmentationFailed" (as in :mod:`OsteoScreenLib.errors`),
"OsteoScreenError" (a file cannot be written), "MissingPackage", "OutOfMemory" and "Unexpected".

Arrays travel as .npy files, never pickled. :mod:`.exchange` writes and reads what is exchanged, on both sides, and
needs no PyTorch; :mod:`.operations` does the work, and can be called without the process.
"""

from __future__ import annotations

PROTOCOL = "osteoscreen-worker/1"

"""The nodes that belong to one CT: levels, outlines, probability map, table and result.

They hang on the volume node by node references, so that a scene can hold several CTs, and a saved scene finds all of
them again.
"""

import vtk

import slicer

LEVEL_NAMES = ("L1", "L2")
# Marks a probability map; holds where it was cut from the CT (slice, row, column).
PROBABILITY_ATTRIBUTE = "OsteoScreen.offset"
ROLES = {
    "levels": "OsteoScreenLevels",
    "vertebrae": "OsteoScreenVertebrae",
    "segmentation": "OsteoScreenOutlines",
    "probability": "OsteoScreenProbability",
    "table": "OsteoScreenTable",
    "result": "OsteoScreenResult",
    "before": "OsteoScreenResultBefore",
    "earlier": "OsteoScreenEarlier",
}


class StudyNodes:
    """Access to the nodes of one CT; a node that the user has deleted is None again.

    :param volumeNode: the CT (vtkMRMLScalarVolumeNode), in a scene.
    """

    def __init__(self, volumeNode):
        self.volumeNode = volumeNode

    @property
    def levels(self):
        """The markups list with the control points L1 and L2 (vtkMRMLMarkupsFiducialNode)."""
        return self.get("levels")

    @property
    def vertebrae(self):
        """The chain of the vertebrae that were named by themselves (vtkMRMLMarkupsFiducialNode)."""
        return self.get("vertebrae")

    @property
    def segmentation(self):
        """The outlines (vtkMRMLSegmentationNode)."""
        return self.get("segmentation")

    @property
    def probability(self):
        """The network's probability map (vtkMRMLScalarVolumeNode, 0 to 1)."""
        return self.get("probability")

    @property
    def table(self):
        """Every measure (vtkMRMLTableNode)."""
        return self.get("table")

    @property
    def result(self):
        """The result as result.json (vtkMRMLTextNode)."""
        return self.get("result")

    @property
    def before(self):
        """The result that a correction is told against, as result.json (vtkMRMLTextNode)."""
        return self.get("before")

    @property
    def earlier(self):
        """Earlier results that were added from files, as JSON (vtkMRMLTextNode)."""
        return self.get("earlier")

    def get(self, role):
        """Return the node of a role, or None."""
        return self.volumeNode.GetNodeReference(ROLES[role])

    def getOrCreate(self, role, className, label):
        """Return the node of a role, made beside the CT in the subject hierarchy where there is none."""
        node = self.get(role)
        if node is None:
            scene = self.volumeNode.GetScene()
            node = scene.AddNewNodeByClass(className, f"{self.volumeNode.GetName()} {label}")
            self.volumeNode.SetNodeReferenceID(ROLES[role], node.GetID())
            _placeBeside(self.volumeNode, node)
        return node

    def keepText(self, role, label, text):
        """Keep text under a role, in a node that only saved scenes show; return the node."""
        node = self.getOrCreate(role, "vtkMRMLTextNode", label)
        node.SetHideFromEditors(True)
        node.SetText(text)
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeAlways)
        return node

    def remove(self, role):
        """Remove the node of a role from the scene, where there is one."""
        node = self.get(role)
        if node is not None:
            self.volumeNode.GetScene().RemoveNode(node)


def removeStudy(volumeNode):
    """Remove a CT and everything that hangs on it from its scene."""
    nodes = StudyNodes(volumeNode)
    for role in ROLES:
        nodes.remove(role)
    volumeNode.GetScene().RemoveNode(volumeNode)


def studiesInScene(scene):
    """Return the StudyNodes of every CT in the scene that has a result, in the scene's order."""
    return [study for study in map(StudyNodes, _scalarVolumes(scene)) if study.result is not None]


def chainsInScene(scene):
    """Return the StudyNodes of every CT in the scene whose vertebrae were named, in the scene's order."""
    return [study for study in map(StudyNodes, _scalarVolumes(scene)) if study.vertebrae is not None]


def firstVolume(scene):
    """Return the scene's first scalar volume that may be a CT, None where there is none."""
    maps = probabilityMaps(scene)
    return next((node for node in _scalarVolumes(scene) if node not in maps), None)


def probabilityMaps(scene):
    """Return the scene's probability maps: they are scalar volumes too, and no CT."""
    return [node for node in _scalarVolumes(scene) if node.GetAttribute(PROBABILITY_ATTRIBUTE)]


def _scalarVolumes(scene):
    # Label maps and colour images are of classes of their own, which this class' name would find too.
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    return [node for node in nodes if node.GetClassName() == "vtkMRMLScalarVolumeNode"]


def eventsOfStudy(volumeNode):
    """Return the (object, event) pairs that tell of changes to a CT and what hangs on it; none without a CT."""
    if volumeNode is None:
        return []
    nodes = StudyNodes(volumeNode)
    volume = slicer.vtkMRMLVolumeNode
    kinds = (
        volume.TransformModifiedEvent,
        volume.ImageDataModifiedEvent,
        volume.ReferenceAddedEvent,
        volume.ReferenceRemovedEvent,
    )
    events = [(volumeNode, kind) for kind in kinds]
    if nodes.levels is not None:
        markups = slicer.vtkMRMLMarkupsNode
        kinds = (
            markups.PointModifiedEvent,
            markups.PointAddedEvent,
            markups.PointRemovedEvent,
            vtk.vtkCommand.ModifiedEvent,
        )
        events += [(nodes.levels, kind) for kind in kinds]
    events += [(node, vtk.vtkCommand.ModifiedEvent) for node in (nodes.vertebrae, nodes.result) if node is not None]
    if nodes.segmentation is not None:
        segmentation = nodes.segmentation.GetSegmentation()
        kinds = (slicer.vtkSegmentation.SourceRepresentationModified, slicer.vtkSegmentation.SegmentRemoved)
        events += [(segmentation, kind) for kind in kinds]
    return events


def patientItem(volumeNode):
    """Return the subject hierarchy item of the CT's patient, or 0 where the scene does not know the patient."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    if hierarchy is None:
        return 0
    item = hierarchy.GetItemByDataNode(volumeNode)
    if not item:
        return 0
    level = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelPatient()
    return hierarchy.GetItemAncestorAtLevel(item, level)


def _placeBeside(volumeNode, node):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volumeNode.GetScene())
    if hierarchy is None:
        return
    ct, item = hierarchy.GetItemByDataNode(volumeNode), hierarchy.GetItemByDataNode(node)
    if ct and item:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(ct))

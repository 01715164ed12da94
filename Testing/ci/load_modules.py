"""In Slicer: fail where a module was dropped, where its panel does not open, or where the sample data are missing."""

import os
import sys

import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reporting


def load():
    """Open both modules' panels and find the sample data."""
    for module in ("OsteoScreen", "OsteoScreenTraining"):
        if not hasattr(slicer.modules, module.lower()):
            raise RuntimeError(f"Slicer dropped the module {module}: see its messages.")
        slicer.util.selectModule(module)
        slicer.app.processEvents()
        if slicer.util.getModuleWidget(module).logic is None:
            raise RuntimeError(f"The panel of {module} did not open.")
        reporting.say(f"loaded {module} from {slicer.util.modulePath(module)}")
    import SampleData

    found = [source.sampleName for source in SampleData.SampleDataLogic.sampleDataSourcesByCategory("OsteoScreen")]
    if not found:
        raise RuntimeError("Sample Data offers nothing of OsteoScreen.")
    reporting.say(f"sample data: {found}")


reporting.finish(load)

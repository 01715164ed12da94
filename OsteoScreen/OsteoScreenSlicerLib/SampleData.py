"""The module's sample data: a simulated chest CT that Slicer's module Sample Data offers, without any network."""

import pathlib

CATEGORY = "OsteoScreen"
SAMPLE_NAME = "OsteoScreenSimulatedCT"
# Of the file in Resources/SampleData; its README says how it is made.
SHA256 = "1d33365df539d0e54dc9a13e31dfe41ba4a38c15a11808779a58a27c7a233214"


def registerSampleData():
    """Offer the CT as a button of Sample Data and as ``SampleData.downloadSample("OsteoScreenSimulatedCT")``.

    Slicer copies the file into its cache, where its checksum is verified before it is loaded.
    """
    import SampleData

    folder = pathlib.Path(__file__).resolve().parent.parent / "Resources" / "SampleData"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        thumbnailFileName=str(folder / f"{SAMPLE_NAME}.png"),
        uris=(folder / f"{SAMPLE_NAME}.nrrd").as_uri(),
        fileNames=f"{SAMPLE_NAME}.nrrd",
        nodeNames=SAMPLE_NAME,
        checksums=f"SHA256:{SHA256}",
        loadFileTypes="VolumeFile",
    )

"""The commands that come with the training library; the protocol is in :mod:`OsteoScreenLib.cli`."""

COMMANDS = (
    "OsteoScreenTrainingLib.cli.demo",
    "OsteoScreenTrainingLib.cli.simulate",
    "OsteoScreenTrainingLib.cli.train",
    "OsteoScreenTrainingLib.cli.evaluate",
    "OsteoScreenTrainingLib.cli.dataset",
    "OsteoScreenTrainingLib.cli.study",
)

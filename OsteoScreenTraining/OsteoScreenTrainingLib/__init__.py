"""OsteoScreen's training library: simulated CT, data sets, training, evaluation, the study. It imports the engine."""

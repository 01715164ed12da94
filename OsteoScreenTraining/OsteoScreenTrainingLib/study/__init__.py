"""The study from a data set to its page: train, evaluate, and lay every number beside the paper's."""

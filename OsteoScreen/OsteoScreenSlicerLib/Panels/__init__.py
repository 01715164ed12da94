"""The panel's sections: each shows one part of the state in its widgets, and hands the user's wishes on."""

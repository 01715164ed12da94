"""The training panel's sections: each shows one part of the state, and hands the user's wishes on."""

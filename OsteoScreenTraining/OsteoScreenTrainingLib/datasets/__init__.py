"""Data sets of subjects as folders; what lies where is in :mod:`.folder`."""

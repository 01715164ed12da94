"""One trainer (:mod:`.trainer`) for several kinds of network (:mod:`.task`), and what a run leaves in its folder."""

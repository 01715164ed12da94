"""Many studies: what to screen, the store that remembers each study's state, and the workers that screen them."""

"""What the README and the pages in Docs say, as tests see it: their blocks, commands, and what each needs to run."""

"""How well a model of several senses fills in one out of others, and what its latents know of a world that was made."""

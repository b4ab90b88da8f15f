"""Looking into latents: what lies between two clips, what a channel says, and how much of it is information."""

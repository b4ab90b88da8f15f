"""Train a VAE of several senses: on a made world, on clips with sound, or on scenes seen by several cameras."""

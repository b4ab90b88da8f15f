"""TensorRT engines: built from a bundle's graphs where they run, kept in a cache, never shipped."""

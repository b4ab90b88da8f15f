"""Charts as inline SVG, one per module: data in, a drawing and the table behind it out."""

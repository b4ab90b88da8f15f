"""A benchmark's result for people: one HTML file that needs no network, Markdown, and CSV."""

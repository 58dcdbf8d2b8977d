"""What a run looks like while it goes on, and afterwards: events in, text out."""

"""What the promises cost, as ratios within one run."""

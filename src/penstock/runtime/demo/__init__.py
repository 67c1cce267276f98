"""Stories on real parts that show what the platform does, and prove it while they run."""

"""What carries planned batches out: this process, or Spark."""

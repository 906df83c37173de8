"""What several benchmarks share: tables, command lines, data, trainings, metrics."""
